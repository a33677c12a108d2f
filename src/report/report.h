// What a compression run found, and its page: one self-contained HTML file (no scripts from
// elsewhere, no network) with the table, the plan as a picture and the proof.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/compare.h"

namespace pare {

// One file that was measured: the original, the best preset of the size, ours.
struct ReportRow {
  std::string label;  // "original", "Q4_K_M (preset)", "pare --fit 90MB"
  std::string file;
  uint64_t bytes = 0;
  double bits_per_weight = 0.0;
  bool measured = false;
  EvalResult eval;       // against the original, if it has one
  double seconds = 0.0;  // to make it; 0: nothing was made
  uint64_t peak_memory = 0;
  std::string sample;  // a line of text that it writes
};

struct ReportTensor {
  std::string name, role;  // canonical name, role_name()
  int block = -1;
  std::string shape, from, to, method, why;
  uint64_t bytes = 0;
  double bits_per_weight = 0.0;
  double relative_rms = 0.0;  // of the dequantized weight against its source
  double expected_kl = 0.0;   // what the planner expected of it
};

struct Report {
  std::string model, arch, command, version, date;
  std::string calibration;  // what the calibration tokens were
  std::string evaluation;   // what was measured on
  std::string prompt;       // of the samples
  uint64_t budget_bytes = 0;
  std::vector<ReportRow> rows;
  std::vector<ReportTensor> tensors;
  std::vector<std::string> proof;  // "reopened, 272 tensors, every byte compared", ...
};

std::string html_report(const Report& report);
// The same as JSON (schema 1).
std::string json_report(const Report& report);
// The table for a terminal.
std::string text_report(const Report& report);

}  // namespace pare
