// Writes a model as a Hugging Face directory: config.json, tokenizer files, safetensors in one
// float type. Quantized tensors are dequantized. The directory appears under its name when it is
// whole and has been read back; until then it is NAME.part.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "base/status.h"
#include "base/threads.h"
#include "model/open.h"

namespace pare {

struct CheckpointOptions {
  std::string output;             // directory: absent, or empty
  CodecId dtype = CodecId::kF16;  // kF32, kF16 or kBF16, for every tensor
  uint64_t max_shard_bytes = 5'000'000'000;
};

struct CheckpointResult {
  std::vector<std::string> files;  // in the order in which a reader meets them
  uint64_t weight_bytes = 0;       // of the safetensors files
  size_t tensors = 0;
  double relative_rms = 0.0;  // ||written - source|| / ||source|| over all weights
};

// kBrokenPromise if what is read back is not what was meant: a number that is too large for the
// type, for one. After any failure nothing stands under the output's name.
Result<CheckpointResult> write_checkpoint(const Model& model, const CheckpointOptions& options,
                                          ThreadPool& pool, Progress& progress);

}  // namespace pare
