// The options that choose types tensor by tensor, shared by the verbs that make plans, and what
// they come to: user beats search beats preset beats fallback.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "model/open.h"
#include "planner/plan.h"

namespace pare::cli {

struct PlanOptions {
  std::string type;                       // preset or codec name
  std::vector<std::string> tensor_types;  // "REGEX=TYPE"
  std::string recipe;                     // file with one REGEX=TYPE per line
  std::string output_type, embedding_type;
  bool pure = false;
};

// --tensor-type and --recipe; with `presets` also --type, --pure and the two special types.
void add_plan_options(CLI::App& app, PlanOptions& options, bool presets);

// One type for each tensor of the model (nullopt: not said), by the first expression that
// matches a part of its name, --tensor-type before --recipe. A bad expression or type, or an
// expression that matches no matrix, is an error.
Result<std::vector<std::optional<CodecId>>> user_choices(const PlanOptions& options,
                                                         const Model& model);

// The plan of a preset, with the user's choices. Fallbacks are summed up in progress.note.
Result<Plan> preset_plan(const Model& model, const PlanOptions& options, bool has_imatrix,
                         Progress& progress);

}  // namespace pare::cli
