// What a calibration pass measured, and its file: llama.cpp's imatrix in GGUF form (tensors
// `NAME.in_sum2` and `NAME.counts`), to which pare adds
// `NAME.in_pivot`, `NAME.out_grad2` and `embedding.grad2`; other readers skip them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/open.h"

namespace pare {

struct TensorStats {
  // Sum over tokens of the squared input of each column, and the number of tokens.
  std::vector<float> in_sum2;
  double count = 0.0;
  // What a squared error in each column costs once the other columns have compensated for it
  // (calib/hessian_factor.h), in the scale of in_sum2 / count. Empty if it was not measured.
  std::vector<float> in_pivot;
  // Mean over tokens of the squared gradient of the loss by each output row, the loss being
  // the negative log-likelihood of tokens that the model itself sampled, each token weighted by
  // its share of the input's energy: what an error in the weight's row meets. Without the weights
  // it would be the diagonal of the Fisher information of the outputs. Empty if it was not
  // measured.
  std::vector<float> out_grad2;

  // Mean squared input of each column; empty if no token was seen.
  std::vector<float> importance() const;
};

struct CalibrationStats {
  std::string dataset;  // what the tokens were
  uint32_t chunks = 0, chunk_size = 0;
  std::map<std::string, TensorStats> tensors;  // by canonical weight name
  // Mean over tokens of the squared gradient of the loss by each column of the token
  // embedding's output. Empty if it was not measured.
  std::vector<float> embedding_grad2;

  const TensorStats* find(const std::string& name) const;
};

// Both name the file in errors. Reading accepts files of llama.cpp's imatrix tool.
Result<CalibrationStats> read_stats(const std::string& path);
// kInvalidArgument: statistics of one of the model's tensors are of another width.
Result<CalibrationStats> read_stats(const std::string& path, const Model& model);
Status write_stats(const std::string& path, const CalibrationStats& stats);

}  // namespace pare
