// Texts that users give, as windows of tokens.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "compress/backend.h"
#include "model/open.h"
#include "model/tokenizer/tokenizer.h"

namespace pare::cli {

// Where calibration tokens come from.
struct CalibrationText {
  std::string text, chat;  // files; both empty: sampled from the model itself
  int64_t chunks = 32;     // windows used, spread over the text
  int64_t context = 512;
  uint64_t seed = 1;
  int64_t tokens() const { return chunks * context; }
};
void add_calibration_text(CLI::App& app, CalibrationText& options);

Result<std::shared_ptr<const Tokenizer>> model_tokenizer(const Model& model);

// The windows, and in `description` one line that says what they are.
Result<TokenWindows> calibration_windows(const CalibrationText& options,
                                         std::shared_ptr<const Model> model, Backend& backend,
                                         ThreadPool& pool, Progress& progress,
                                         std::string* description);

// The first `chunks` windows (0: all) of a text file, by the protocol of eval/compare.h.
Result<TokenWindows> evaluation_windows(const std::string& path, const Model& model,
                                        int64_t context, int64_t chunks, Progress& progress);

}  // namespace pare::cli
