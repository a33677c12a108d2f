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
constexpr int64_t kTileStride = Bf16Core::kRows * kBlockColumns;
// Sums of so many tokens are kept beside it.
constexpr int64_t kBlockTokens = 512;

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
      bf16.from_planar(unpacker.form, *piece, count, out + Bf16Panel::row(r, panel.tile_stride),
                       Bf16Panel::kStep);
    }
    return;
  }
  float* floats = s.floats.reserve(kBlockColumns);
  for (int64_t r = 0; r < panel.rows; ++r) {
    task.codec.decode_row(task.packed(begin + r, column), floats, count);
    bf16.from_floats(floats, count, panel.parts, out + Bf16Panel::row(r, panel.tile_stride),
                     Bf16Panel::kStep, panel.part_stride);
  }
}

}  // namespace

void many_tokens_bf16(const Task& task) {
  const Bf16Core& bf16 = *task.core.bf16;
  int w_parts = 1, x_parts = 1;
  if (task.kernel.unpacker == nullptr) {
    // Floats are kept whole: as many parts as they have bits for.
    w_parts = task.codec.id == CodecId::kBF16 ? 1 : task.codec.id == CodecId::kF16 ? 2 : 3;
    x_parts = 3;
  }
  const auto x = task.x.bf16_tiles(bf16, x_parts, task.pool);
  for_row_blocks(
      task, 2 * Bf16Core::kRows, kBlockRows, kBlocksEach, [&](int64_t begin, int64_t count) {
        Scratch& s = scratch();
        const int64_t padded = round_up(count, Bf16Core::kRows);
        const int64_t part_stride = padded * kBlockColumns;
        uint16_t* w = s.panel.reserve(static_cast<size_t>(w_parts * part_stride));
        const Bf16Panel panel{w, count, kTileStride, part_stride, w_parts};
        float* sums = s.sums.reserve(static_cast<size_t>(kBlockTokens * padded));
        for (int64_t t = 0; t < task.tokens; t += kBlockTokens) {
          const int64_t tokens = std::min(kBlockTokens, task.tokens - t);
          for (int64_t c = 0; c < task.columns; c += kBlockColumns) {
            const int64_t n = std::min(kBlockColumns, task.columns - c);
            fill(task, begin, c, n, panel, w);
            bf16.multiply(panel, x.at(t, tokens, c), round_up(n, Bf16Core::kColumns), c == 0, sums);
          }
          bf16.finish(sums, count, tokens, task.bias == nullptr ? nullptr : task.bias + begin,
                      task.y + t * task.y_stride + begin, task.y_stride);
        }
      });
}

}  // namespace pare
