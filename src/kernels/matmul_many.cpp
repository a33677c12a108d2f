// Products with many tokens: panels of rows meet tiles of tokens (core.h).
#include "kernels/aligned.h"
#include "kernels/matmul_task.h"
#include "kernels/quantize.h"

namespace pare {
namespace {

// Rows of a piece of work with many tokens: their panels stay in the second-level cache while all
// tokens pass.
constexpr int64_t kBlockRows = 64;
constexpr int64_t kBlocksEach = 4;      // of a thread, so that all are done at the same time
constexpr int64_t kFloatColumns = 512;  // of a panel of float weights

// What a thread needs to work with; made once for each.
struct Scratch {
  AlignedBuffer<PlanarPiece> pieces;
  AlignedBuffer<WidePiece> wide_pieces;
  AlignedBuffer<uint8_t> level;
  AlignedBuffer<float> scale, offset;
  AlignedBuffer<float> floats, float_panel;
};
Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

// Calls body(panel, token tile, tokens, output) for the rows of a block and all tokens.
template <class Body>
void for_each_tile(const Task& task, int64_t begin, int64_t count, bool first, const Body& body) {
  const int64_t panel_rows = task.core.panel_rows, tile_tokens = task.core.tile_tokens;
  for (int64_t tile = 0, t = 0; t < task.tokens; ++tile, t += tile_tokens) {
    for (int64_t panel = 0, r = 0; r < count; ++panel, r += panel_rows) {
      body(panel, tile, std::min(tile_tokens, task.tokens - t),
           Core::Output{.y = task.y + t * task.y_stride + begin + r,
                        .y_stride = task.y_stride,
                        .rows = std::min(panel_rows, count - r),
                        .first = first,
                        .bias = task.bias == nullptr ? nullptr : task.bias + begin + r});
    }
  }
}

// Packed weights are asked for while others are unpacked, about so many bytes before: pieces of
// neighbouring rows lie apart, which CPUs do not foresee.
constexpr int64_t kAheadBytes = 6144;

// A block's rows, a piece of `columns` columns of each after the other, before the next columns.
struct Pieces {
  const Task& task;
  int64_t begin, rows, columns;

  // Inline, because GCC drops calls of functions that do nothing else.
  __attribute__((always_inline)) void ask_behind(int64_t row, int64_t column) const {
    const auto bytes = static_cast<int64_t>(task.codec.row_bytes(columns));
    row += std::clamp(kAheadBytes / bytes, int64_t{1}, rows);
    if (row >= rows) row -= rows, column += columns;
    if (column >= task.columns) return;
    const auto first = reinterpret_cast<uintptr_t>(task.packed(begin + row, column));
    for (int64_t i = 0; i < bytes; i += 64) {  // maybe behind the row
      __builtin_prefetch(reinterpret_cast<const void*>(first + static_cast<uintptr_t>(i)), 0, 2);
    }
  }
};

// Products with panels of at most `panel_columns` columns that have scales; fill(row, column,
// count, piece) makes pieces of rows, interleave(pieces, count, panel) panels of them.
// `level_bytes`: of a level.
template <class Piece, class Fill, class Interleave>
void many_tokens(const Task& task, const QuantizedTiles& x, Core::Many many, int64_t panel_columns,
                 int64_t level_bytes, AlignedBuffer<Piece> Scratch::*piece_buffer, const Fill& fill,
                 const Interleave& interleave) {
  const int64_t panel_rows = task.core.panel_rows, scales = panel_columns / 16;
  for_row_blocks(task, panel_rows, kBlockRows, kBlocksEach, [&](int64_t begin, int64_t count) {
    Scratch& s = scratch();
    Piece* pieces = (s.*piece_buffer).reserve(static_cast<size_t>(panel_rows));
    const int64_t panel_bytes = panel_rows * panel_columns * level_bytes;
    uint8_t* level = s.level.reserve(static_cast<size_t>(kBlockRows / panel_rows * panel_bytes));
    float* scale = s.scale.reserve(static_cast<size_t>(kBlockRows * scales));
    float* offset = s.offset.reserve(static_cast<size_t>(kBlockRows * scales));
    const auto panel = [&](int64_t p) {
      return Panel{level + p * panel_bytes, scale + p * panel_rows * scales,
                   offset + p * panel_rows * scales};
    };
    const Pieces packed{task, begin, count, std::min(panel_columns, task.columns)};
    for (int64_t c = 0; c < task.columns; c += panel_columns) {
      const int64_t n = std::min(panel_columns, task.columns - c);
      for (int64_t r = 0; r < count; r += panel_rows) {
        for (int64_t i = 0; i < panel_rows; ++i) {
          packed.ask_behind(r + i, c);
          // Rows that are not there repeat the last; their products are not stored.
          fill(begin + std::min(r + i, count - 1), c, n, pieces + i);
        }
        interleave(pieces, n, panel(r / panel_rows));
      }
      for_each_tile(task, begin, count, c == 0,
                    [&](int64_t p, int64_t tile, int64_t tokens, const Core::Output& out) {
                      many(panel(p), n, x.at(tile, c), tokens, out);
                    });
    }
  });
}

}  // namespace

void unpack(const Task& task, int64_t row, int64_t column, int64_t count, PlanarPiece* out) {
  const Unpacker& unpacker = *task.kernel.unpacker;
  unpacker.unpack(task.packed(row, column), count, out);
  const PlanarForm& form = unpacker.form;
  const auto clear_tail = [&](float* values, int64_t n) {
    std::fill(values + n, values + round_up(n, 16), 0.0f);
  };
  clear_tail(out->scale, count / form.scale_len);
  if (form.offset_len != 0) clear_tail(out->offset, count / form.offset_len);
}

void many_tokens_unpacked(const Task& task) {
  const PlanarForm& form = task.kernel.unpacker->form;
  many_tokens(
      task, task.x.quantized_tiles(task.core, form, task.pool), task.core.many(form),
      task.core.panel_columns, 1, &Scratch::pieces,
      [&](int64_t row, int64_t column, int64_t count, PlanarPiece* piece) {
        unpack(task, row, column, count, piece);
      },
      [&](const PlanarPiece* pieces, int64_t count, const Panel& panel) {
        task.core.interleave(form, pieces, count, panel);
      });
}

void many_tokens_wide(const Task& task) {
  const QuantizeRow<int16_t> quantize = quantize_row<int16_t>(task.core.level);
  many_tokens(
      task, task.x.wide_tiles(task.core, task.pool), task.core.many_wide, WidePiece::kColumns, 2,
      &Scratch::wide_pieces,
      [&](int64_t row, int64_t column, int64_t count, WidePiece* piece) {
        float* floats = scratch().floats.reserve(WidePiece::kColumns);
        int32_t sums[WidePiece::kColumns / 16];
        task.codec.decode_row(task.packed(row, column), floats, count);
        std::fill(floats + count, floats + round_up(count, 32), 0.0f);
        quantize(floats, round_up(count, 32), piece->level, piece->scale, sums);
      },
      [&](const WidePiece* pieces, int64_t count, const Panel& panel) {
        task.core.interleave_wide(pieces, round_up(count, 32), panel);
      });
}

void many_tokens_of_floats(const Task& task) {
  const float* x = task.x.float_tiles(task.core, task.pool);
  const int64_t panel_rows = task.core.panel_rows, tile_tokens = task.core.tile_tokens;
  for_row_blocks(task, panel_rows, kBlockRows, kBlocksEach, [&](int64_t begin, int64_t count) {
    Scratch& s = scratch();
    const auto panel_size = panel_rows * kFloatColumns;
    float* rows = s.floats.reserve(static_cast<size_t>(panel_size));
    float* panels = s.float_panel.reserve(kBlockRows * kFloatColumns);
    const Pieces packed{task, begin, count, std::min(kFloatColumns, task.columns)};
    for (int64_t c = 0; c < task.columns; c += kFloatColumns) {
      const int64_t n = std::min(kFloatColumns, task.columns - c);
      for (int64_t r = 0; r < count; r += panel_rows) {
        for (int64_t i = 0; i < panel_rows; ++i) {
          packed.ask_behind(r + i, c);
          task.codec.decode_row(task.packed(begin + std::min(r + i, count - 1), c),
                                rows + i * kFloatColumns, n);
        }
        task.core.interleave_floats(rows, kFloatColumns, n, panels + r / panel_rows * panel_size);
      }
      for_each_tile(task, begin, count, c == 0,
                    [&](int64_t p, int64_t tile, int64_t tokens, const Core::Output& out) {
                      task.core.many_floats(panels + p * panel_size, n,
                                            x + (tile * task.columns + c) * tile_tokens, tokens,
                                            out);
                    });
    }
  });
}

}  // namespace pare
