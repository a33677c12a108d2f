// What `plan` and `compress` share: a budget, statistics, and the search over types.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/plan_options.h"
#include "cli/text_input.h"
#include "compress/backend.h"

namespace pare::cli {

struct SearchOptions {
  std::string fit;
  std::string stats;                    // a file of `pare calibrate`; empty: measured now
  std::vector<std::string> candidates;  // type names; empty: default_candidates()
  PlanOptions user;                     // --tensor-type, --recipe
  CalibrationText calibration;
  std::string device = "auto";
  int refine = 1;
  std::string scratch;  // where refining may write a file
  bool no_gptq = false;
};
void add_search_options(CLI::App& app, SearchOptions& options);
// The files that a search of `model` reads; names may be empty.
std::vector<std::string> inputs_of(const SearchOptions& options, const std::string& model);

// Everything the search made, for whoever goes on with it.
struct SearchOutcome {
  TokenWindows windows;     // calibration tokens
  std::string description;  // of them
  CalibrationStats stats;
  std::vector<TensorCandidates> table;
  Plan plan;
};

// What is searched, and within how many bytes.
struct SearchTask {
  uint64_t budget;  // of the whole file: bits per weight are of all weights together
  ProbeOptions probe;
};
// Refuses what cannot be done, a size that no types reach among it, before anything is measured.
Result<SearchTask> search_task(const SearchOptions& options, const Model& model);

// windows: calibration tokens, and one line that says what they are.
Result<SearchOutcome> search_plan(const SearchOptions& options, const SearchTask& task,
                                  std::shared_ptr<const Model> model, TokenWindows windows,
                                  std::string description, Backend& backend, ThreadPool& pool,
                                  Progress& progress);

}  // namespace pare::cli
