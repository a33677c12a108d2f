// Products with many tokens in bfloat16 (bf16_core.h).
#include "kernels/aligned.h"
#include "kernels/matmul_task.h"

namespace pare {
namespace {

// A block of rows and columns stays in the second-level cache while all tokens pass; they come from
// the third, which is slow, so that few large blocks are better than many.
constexpr int64_t kBlockRows = 256;
constexpr int64_t kBlocksEach = 2;
constexpr int64_t kBlockColumns = kPieceColumns;
constexpr int64_t kPairStride = Bf16Layout::pair_stride(kBlockColumns);
// So many tokens pass at a time: what they leave is still near when it is stored.
constexpr int64_t kTokensAtOnce = 2 * Bf16Core::kTokens;
// Where there are several blocks of columns, sums of so many tokens are kept between them.
constexpr int64_t kTokensKept = 512;

struct Scratch {
  AlignedBuffer<PlanarPiece> piece;
  AlignedBuffer<float> floats, sums;
  AlignedBuffer<uint16_t> panel;
};
Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

// Rows [begin, begin + rows) of a block of columns, in `parts` parts. `out`: a panel's first.
void fill(const Task& task, int64_t begin, int64_t rows, int64_t column, int64_t count, int parts,
          int64_t part_stride, uint16_t* out) {
  const Bf16Core& bf16 = *task.core.bf16;
  Scratch& s = scratch();
  if (task.kernel.unpacker != nullptr) {
    const Unpacker& unpacker = *task.kernel.unpacker;
    PlanarPiece* piece = s.piece.reserve(1);
    for (int64_t r = 0; r < rows; ++r) {
      unpacker.unpack(task.packed(begin + r, column), count, piece);
      bf16.from_planar(unpacker.form, *piece, count, out + Bf16Panel::row(r, kPairStride),
                       Bf16Layout::kStep);
    }
    return;
  }
  float* floats = s.floats.reserve(kBlockColumns);
  for (int64_t r = 0; r < rows; ++r) {
    task.codec.decode_row(task.packed(begin + r, column), floats, count);
    bf16.from_floats(floats, count, parts, out + Bf16Panel::row(r, kPairStride), Bf16Layout::kStep,
                     part_stride);
  }
}

// Float weights are kept whole: as many parts as they have bits for. Activations too, or, where
// weights are half precision, but for 2^-17 of them.
int weight_parts(const Task& task) {
  if (task.kernel.unpacker != nullptr || task.codec.id == CodecId::kBF16) return 1;
  return task.codec.id == CodecId::kF16 ? 2 : 3;
}
int activation_parts(const Task& task) {
  if (task.kernel.unpacker != nullptr) return 1;
  return task.kernel.round_floats ? 2 : 3;
}

// Products of the same rows of some weights, all with the same parts. store(sums, stride, begin,
// count, token, tokens) takes them, of one weight after the other: sums of the next begin
// `padded` / 16 tiles behind (Bf16Core::multiply).
template <class Store>
void multiply_blocks(std::span<const Task* const> tasks, const Store& store) {
  const Task& first = *tasks[0];
  const Bf16Core& bf16 = *first.core.bf16;
  const auto together = static_cast<int64_t>(tasks.size());
  const int w_parts = weight_parts(first);
  const auto x = first.x.bf16_tiles(bf16, activation_parts(first), first.pool);
  const auto run = [&](int64_t begin, int64_t count) {
    Scratch& s = scratch();
    const int64_t padded = round_up(count, 2 * Bf16Core::kRows);
    const int64_t rows = (together - 1) * padded + count, all = together * padded;
    const int64_t part_stride = all * kBlockColumns;
    uint16_t* w = s.panel.reserve(static_cast<size_t>(w_parts * part_stride));
    const Bf16Panel panel{w, rows, kPairStride, part_stride, w_parts};
    const bool kept = first.columns > kBlockColumns;
    const int64_t step = kept ? kTokensKept : first.tokens;
    float* all_sums = s.sums.reserve(static_cast<size_t>((kept ? step : kTokensAtOnce) * all));
    const int64_t stride = round_up(rows, Bf16Core::kRows) * Bf16Core::kTokens;
    for (int64_t from = 0; from < first.tokens; from += step) {
      const int64_t end = std::min(from + step, first.tokens);
      for (int64_t c = 0; c < first.columns; c += kBlockColumns) {
        const int64_t n = std::min(kBlockColumns, first.columns - c);
        for (int64_t i = 0; i < together; ++i) {
          fill(*tasks[static_cast<size_t>(i)], begin, count, c, n, w_parts, part_stride,
               w + i * padded * kBlockColumns);
        }
        for (int64_t t = from; t < end; t += kTokensAtOnce) {
          const int64_t tokens = std::min(kTokensAtOnce, end - t);
          float* sums = kept ? all_sums + (t - from) * all : all_sums;
          bf16.multiply(panel, x.at(t, tokens, c), round_up(n, Bf16Core::kColumns), c == 0, sums);
          if (c + n == first.columns) store(sums, stride, begin, count, t, tokens);
        }
      }
    }
  };
  for_row_blocks(first, 2 * Bf16Core::kRows, kBlockRows / w_parts / together, kBlocksEach, run);
}

const float* from_row(const float* bias, int64_t begin) {
  return bias == nullptr ? nullptr : bias + begin;
}

}  // namespace

void many_tokens_bf16(const Task& task) {
  const Task* const tasks[] = {&task};
  multiply_blocks(tasks, [&](const float* sums, int64_t stride, int64_t begin, int64_t count,
                             int64_t token, int64_t tokens) {
    task.core.bf16->finish(sums, stride, count, tokens, from_row(task.bias, begin),
                           task.y + token * task.y_stride + begin, task.y_stride);
  });
}

bool many_tokens_gated_bf16(const Task& gate, const Task& up, const Gate& apply) {
  if (gate.rows != up.rows || weight_parts(gate) != weight_parts(up) ||
      activation_parts(gate) != activation_parts(up)) {
    return false;
  }
  const Task* const tasks[] = {&gate, &up};
  const Bf16Core& bf16 = *up.core.bf16;
  multiply_blocks(tasks, [&](const float* sums, int64_t stride, int64_t begin, int64_t count,
                             int64_t token, int64_t tokens) {
    const int64_t padded = round_up(count, 2 * Bf16Core::kRows);
    float* gates = scratch().floats.reserve(static_cast<size_t>(kTokensAtOnce * padded));
    float* y = up.y + token * up.y_stride + begin;
    bf16.finish(sums, stride, count, tokens, from_row(gate.bias, begin), gates, padded);
    bf16.finish(sums + padded * Bf16Core::kTokens, stride, count, tokens, from_row(up.bias, begin),
                y, up.y_stride);
    for (int64_t t = 0; t < tokens; ++t) apply(gates + t * padded, y + t * up.y_stride, count);
  });
  return true;
}

}  // namespace pare
