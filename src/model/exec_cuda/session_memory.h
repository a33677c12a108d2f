// The arrays of a session on a GPU, and how much memory they take.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cuda/attention.h"
#include "model/exec_cuda/cuda_model.h"

namespace pare {

inline constexpr int64_t kDevicePiece = 2048;        // tokens that are run at once, at most
inline constexpr int64_t kLogitRows = 64;            // tokens whose logits are made at once
inline constexpr int64_t kWeightScratch = 60 << 20;  // halves of weights unpacked at once, at most

struct SessionArrays {
  int64_t piece = 0;
  std::vector<cuda::FloatRows> buffers;  // of DevicePlan::buffers
  cuda::Int8Rows int8;                   // for kFewTokens
  uint16_t* half = nullptr;              // [piece][widest input, rounded up to 128]
  float* half_scale = nullptr;
  uint16_t* weights = nullptr;  // [weight_halves]
  int64_t weight_halves = 0;
  cuda::FloatRows product;  // before a residual is added
  float* attention = nullptr;
  int* counters = nullptr;  // zeros, for attention_one()
  int64_t counter_count = 0;
  std::vector<cuda::KvLayer> layers;  // of Program::attentions; those on the device
  std::vector<cuda::Turns> turns;     // of Program::ropes
  int32_t* params = nullptr;          // position; position of the first wanted; the tokens
  int32_t* index = nullptr;           // positions of the tokens
  double* frequencies = nullptr;
};

// An arena without memory counts. Pure.
void lay_out_session(const CudaModel& model, int64_t context, CodecId kv, Arena* arena,
                     SessionArrays* arrays);
// All that a session takes on the device.
uint64_t session_bytes(const CudaModel& model, int64_t context, CodecId kv);

// The kernel's view of an attention.
cuda::AttentionInput attention_input(const OpAttributes& attr);

}  // namespace pare
