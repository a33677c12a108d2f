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

// Rows [begin, begin + panel.rows) of a block of columns. `out`: panel.w.
void fill(const Task& task, int64_t begin, int64_t column, int64_t count, const Bf16Panel& panel,
          uint16_t* out) {
  const Bf16Core& bf16 = *task.core.bf16;
  Scratch& s = scratch();
  if (task.kernel.unpacker != nullptr) {
    const Unpacker& unpacker = *task.kernel.unpacker;
    PlanarPiece* piece = s.piece.reserve(1);
    for (int64_t r = 0; r < panel.rows; ++r) {
      unpacker.unpack(task.packed(begin + r, column), count, piece);
      bf16.from_planar(unpacker.form, *piece, count, out + Bf16Panel::row(r, panel.pair_stride),
                       Bf16Layout::kStep);
    }
    return;
  }
  float* floats = s.floats.reserve(kBlockColumns);
  for (int64_t r = 0; r < panel.rows; ++r) {
    task.codec.decode_row(task.packed(begin + r, column), floats, count);
    bf16.from_floats(floats, count, panel.parts, out + Bf16Panel::row(r, panel.pair_stride),
                     Bf16Layout::kStep, panel.part_stride);
  }
}

}  // namespace

void many_tokens_bf16(const Task& task) {
  const Bf16Core& bf16 = *task.core.bf16;
  int w_parts = 1, x_parts = 1;
  if (task.kernel.unpacker == nullptr) {
    // Float weights are kept whole: as many parts as they have bits for. Activations too, or, where
    // weights are half precision, but for 2^-17 of them.
    w_parts = task.codec.id == CodecId::kBF16 ? 1 : task.codec.id == CodecId::kF16 ? 2 : 3;
    x_parts = task.kernel.round_floats ? 2 : 3;
  }
  const auto x = task.x.bf16_tiles(bf16, x_parts, task.pool);
  for_row_blocks(task, 2 * Bf16Core::kRows, kBlockRows / w_parts, kBlocksEach,
                 [&](int64_t begin, int64_t count) {
                   Scratch& s = scratch();
                   const int64_t padded = round_up(count, 2 * Bf16Core::kRows);
                   const int64_t part_stride = padded * kBlockColumns;
                   uint16_t* w = s.panel.reserve(static_cast<size_t>(w_parts * part_stride));
                   const Bf16Panel panel{w, count, kPairStride, part_stride, w_parts};
                   const bool kept = task.columns > kBlockColumns;
                   float* all_sums = s.sums.reserve(
                       static_cast<size_t>((kept ? kTokensKept : kTokensAtOnce) * padded));
                   const float* bias = task.bias == nullptr ? nullptr : task.bias + begin;
                   const int64_t step = kept ? kTokensKept : task.tokens;
                   for (int64_t from = 0; from < task.tokens; from += step) {
                     const int64_t end = std::min(from + step, task.tokens);
                     for (int64_t c = 0; c < task.columns; c += kBlockColumns) {
                       const int64_t n = std::min(kBlockColumns, task.columns - c);
                       fill(task, begin, c, n, panel, w);
                       for (int64_t t = from; t < end; t += kTokensAtOnce) {
                         const int64_t tokens = std::min(kTokensAtOnce, end - t);
                         float* sums = kept ? all_sums + (t - from) * padded : all_sums;
                         bf16.multiply(panel, x.at(t, tokens, c), round_up(n, Bf16Core::kColumns),
                                       c == 0, sums);
                         if (c + n == task.columns) {
                           bf16.finish(sums, count, tokens, bias,
                                       task.y + t * task.y_stride + begin, task.y_stride);
                         }
                       }
                     }
                   }
                 });
}

}  // namespace pare
