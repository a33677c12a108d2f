// One product as the parts of matmul see it. For matmul*.cpp only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "codecs/codec.h"
#include "kernels/list.h"
#include "kernels/matmul.h"

namespace pare {

struct Task {
  const PackedTensor& weight;
  const Codec& codec;
  Kernel kernel;
  Activations& x;
  const float* bias;
  float* y;
  int64_t y_stride;
  ThreadPool& pool;
  const Core& core = *kernel.core;
  int64_t rows = weight.shape.rows(), columns = weight.shape.columns(), tokens = x.tokens();

  const std::byte* packed(int64_t row, int64_t column) const {
    return weight.bytes.data() + codec.row_bytes(row * columns + column);
  }
};

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Calls body(first row, row count) for pieces of at most `most` rows, multiples of `unit`; smaller
// where there would not be `each` pieces for each thread.
template <class Body>
void for_row_blocks(const Task& task, int64_t unit, int64_t most, int64_t each, const Body& body) {
  const int64_t wanted = each * task.pool.threads();
  const int64_t block = std::clamp(round_up(task.rows / wanted, unit), unit, most);
  const int64_t blocks = (task.rows + block - 1) / block;
  const auto run = [&](size_t i) {
    const int64_t begin = static_cast<int64_t>(i) * block;
    body(begin, std::min(block, task.rows - begin));
  };
  task.pool.parallel_for(static_cast<size_t>(blocks), run);
}

// A piece of a row of quantized weights; scales and offsets behind it, up to a multiple of 16, are
// zeros.
void unpack(const Task& task, int64_t row, int64_t column, int64_t count, PlanarPiece* out);

// Products with many tokens, of quantized weights, of floats, of floats as 16-bit integers
// (Kernel::round_floats), and of all of them in bfloat16 where the core has that.
void many_tokens_unpacked(const Task& task);
void many_tokens_of_floats(const Task& task);
void many_tokens_wide(const Task& task);
void many_tokens_bf16(const Task& task);

// As matmul_gated, for a core that has bfloat16 and many tokens.
bool many_tokens_gated_bf16(const Task& gate, const Task& up, const Gate& apply);

}  // namespace pare
