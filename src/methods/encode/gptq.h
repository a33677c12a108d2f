// Error-compensated rounding onto any grid: GPTQ (Frantar, Ashkboos, Hoefler, Alistarh, "GPTQ:
// Accurate Post-Training Quantization for Generative Pre-trained Transformers", ICLR 2023,
// arXiv 2210.17323, algorithm 1), with two changes that block formats ask for:
//
//   * parameters of a fit span are fitted when the solver reaches it, on weights that already
//     carry the corrections of the spans before, weighted by what an error in each column will
//     cost after compensation (the pivots of the factor, section 3.3 of the paper);
//   * "act-order" inside a block of columns: the columns with the largest second moment are
//     rounded first. Order across blocks stays, since a format's groups are contiguous.
//
// Rows are independent, so the bytes do not depend on the number of threads.
#pragma once

#include <vector>

#include "base/status.h"
#include "base/threads.h"
#include "calib/hessian_factor.h"
#include "codecs/codec.h"
#include "model/exec_torch/torch.h"

namespace pare {

struct EncodedTensor {
  std::vector<std::byte> bytes;
  torch::Tensor decoded;  // float32, of the CPU: what the bytes stand for
};

// Encoding is the CPU's work: a weight of another device is copied.

// weight: float32 [rows, columns]; columns must divide by the codec's block length.
// The codec must have a grid.
Result<EncodedTensor> gptq_encode(const Codec& codec, const torch::Tensor& weight,
                                  const HessianFactor& factor, ThreadPool& pool);

// Round to nearest: encode_row on every row. importance: float32 [columns], or undefined.
Result<EncodedTensor> rtn_encode(const Codec& codec, const torch::Tensor& weight,
                                 const torch::Tensor& importance, ThreadPool& pool);

// Mean over rows of (row error) H (row error)^T; hessian float64 [columns, columns], or a
// vector [columns] that stands for a diagonal. row_weight: float64 [rows], or undefined.
double weighted_error(const torch::Tensor& weight, const torch::Tensor& decoded,
                      const torch::Tensor& hessian, const torch::Tensor& row_weight = {});

}  // namespace pare
