#include "kernels/matmul.h"

#include <algorithm>
#include <vector>

#include "kernels/matmul_task.h"
#include "kernels/quantize.h"

namespace pare {
namespace {

// Rows of a piece of work with many tokens: their panels stay in the second-level cache while all
// tokens pass.
constexpr int64_t kBlockRows = 64;
constexpr int64_t kBlocksEach = 4;  // of a thread, so that all are done at the same time
// With few tokens, rows are handed out by so many.
constexpr int64_t kFewRows = Dot::kRows;
constexpr int64_t kMaxFewTokens = kAlikeTokens;

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

void unpack(const Task& task, const Unpacker& unpacker, int64_t row, int64_t column, int64_t count,
            PlanarPiece* out) {
  unpacker.unpack(task.packed(row, column), count, out);
  const PlanarForm& form = unpacker.form;
  const auto clear_tail = [&](float* values, int64_t n) {
    std::fill(values + n, values + round_up(n, 16), 0.0f);
  };
  clear_tail(out->scale, count / form.scale_len);
  if (form.offset_len != 0) clear_tail(out->offset, count / form.offset_len);
}

void add_bias(const Task& task, int64_t begin, int64_t count) {
  if (task.bias == nullptr) return;
  for (int64_t t = 0; t < task.tokens; ++t) {
    float* y = task.y + t * task.y_stride;
    for (int64_t r = begin; r < begin + count; ++r) y[r] += task.bias[r];
  }
}

// --- few tokens: one row after the other ---

void few_unpacked(const Task& task, int64_t begin, int64_t count) {
  const Int8Rows x = task.x.int8_rows(task.pool);  // there already
  const Unpacker& unpacker = *task.kernel.unpacker;
  const Core::Few few = task.core.few(unpacker.form);
  PlanarPiece* piece = scratch().pieces.reserve(1);
  for (int64_t r = begin; r < begin + count; ++r) {
    float sums[kMaxFewTokens] = {};
    for (int64_t c = 0; c < task.columns; c += kPieceColumns) {
      const int64_t n = std::min<int64_t>(kPieceColumns, task.columns - c);
      unpack(task, unpacker, r, c, n, piece);
      few(unpacker.form, *piece, n,
          {x.q + c, x.scale + c / 32, x.scale16 + c / 16, x.sum + c / 32, x.sum16 + c / 16,
           x.stride},
          task.tokens, sums);
    }
    for (int64_t t = 0; t < task.tokens; ++t) task.y[t * task.y_stride + r] = sums[t];
  }
}

void few_dots(const Task& task, int64_t begin, int64_t count) {
  const Int8Rows x = task.x.int8_rows(task.pool);  // there already
  for (int64_t r = begin; r < begin + count; r += Dot::kRows) {
    const int64_t rows = std::min(Dot::kRows, begin + count - r);
    for (int64_t t = 0; t < task.tokens; t += Dot::kTokens) {
      task.kernel.dot->dot(task.packed(r, 0), rows, task.columns, x.from(t),
                           std::min(Dot::kTokens, task.tokens - t), task.y + t * task.y_stride + r,
                           task.y_stride);
    }
  }
}

void few_float_dots(const Task& task, int64_t begin, int64_t count) {
  for (int64_t r = begin; r < begin + count; r += kFewRows) {
    const int64_t rows = std::min(kFewRows, begin + count - r);
    for (int64_t t = 0; t < task.tokens; t += Dot::kTokens) {
      task.kernel.float_dot(task.packed(r, 0), rows, task.columns, task.x.row(t), task.x.stride(),
                            std::min(Dot::kTokens, task.tokens - t), task.y + t * task.y_stride + r,
                            task.y_stride);
    }
  }
}

constexpr int64_t kFloatColumns = 512;  // of a piece of float weights

void few_decoded(const Task& task, int64_t begin, int64_t count) {
  float* w = scratch().floats.reserve(kFloatColumns);
  for (int64_t r = begin; r < begin + count; ++r) {
    float sums[kMaxFewTokens] = {};
    for (int64_t c = 0; c < task.columns; c += kFloatColumns) {
      const int64_t n = std::min(kFloatColumns, task.columns - c);
      task.codec.decode_row(task.packed(r, c), w, n);
      for (int64_t t = 0; t < task.tokens; ++t) {
        const float* x = task.x.row(t) + c;
        for (int64_t i = 0; i < n; ++i) sums[t] += w[i] * x[i];
      }
    }
    for (int64_t t = 0; t < task.tokens; ++t) task.y[t * task.y_stride + r] = sums[t];
  }
}

struct FewTokens {
  Task task;
  int64_t first_unit;  // of kFewRows rows, counted through all products
  void (*run)(const Task&, int64_t begin, int64_t count);

  int64_t units() const { return (task.rows + kFewRows - 1) / kFewRows; }
  void run_units(int64_t begin, int64_t end) const {
    const int64_t first = (begin - first_unit) * kFewRows;
    const int64_t rows = std::min((end - begin) * kFewRows, task.rows - first);
    run(task, first, rows);
    add_bias(task, first, rows);
  }
};

FewTokens few_tokens(const Task& task, int64_t first_unit) {
  if (task.kernel.float_dot != nullptr) return {task, first_unit, few_float_dots};
  if (task.kernel.unpacker == nullptr) return {task, first_unit, few_decoded};
  task.x.int8_rows(task.pool);
  return {task, first_unit, task.kernel.dot == nullptr ? few_unpacked : few_dots};
}

// The rows of all products are handed out together: first long runs, because memory is read
// fastest so, then ever shorter ones, so that all threads are done at the same time.
void few_tokens(std::span<const FewTokens> products, ThreadPool& pool) {
  const int64_t end = products.back().first_unit + products.back().units();
  std::vector<int64_t> pieces = {0};
  while (pieces.back() < end) {
    const int64_t share = (end - pieces.back()) / (2 * pool.threads());
    pieces.push_back(std::min(pieces.back() + std::max<int64_t>(share, 1), end));
  }
  pool.parallel_for(pieces.size() - 1, [&](size_t i) {
    for (const FewTokens& product : products) {
      const int64_t begin = std::max(pieces[i], product.first_unit);
      const int64_t stop = std::min(pieces[i + 1], product.first_unit + product.units());
      if (begin < stop) product.run_units(begin, stop);
    }
  });
}

// --- many tokens: panels of rows ---

// Calls body(panel, token tile, tokens, output) for the rows of a block and all tokens.
template <class Body>
void for_each_tile(const Task& task, int64_t begin, int64_t count, bool first, const Body& body) {
  const int64_t panel_rows = task.core.panel_rows, tile_tokens = task.core.tile_tokens;
  for (int64_t t = 0; t < task.tokens; t += tile_tokens) {
    for (int64_t r = begin; r < begin + count; r += panel_rows) {
      body((r - begin) / panel_rows, t / tile_tokens, std::min(tile_tokens, task.tokens - t),
           Core::Output{.y = task.y + t * task.y_stride + r,
                        .y_stride = task.y_stride,
                        .rows = std::min(panel_rows, begin + count - r),
                        .first = first,
                        .bias = task.bias == nullptr ? nullptr : task.bias + r});
    }
  }
}

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
    for (int64_t c = 0; c < task.columns; c += panel_columns) {
      const int64_t n = std::min(panel_columns, task.columns - c);
      for (int64_t r = 0; r < count; r += panel_rows) {
        for (int64_t i = 0; i < panel_rows; ++i) {
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

void many_tokens_unpacked(const Task& task) {
  const Unpacker& unpacker = *task.kernel.unpacker;
  const PlanarForm& form = unpacker.form;
  many_tokens(
      task, task.x.quantized_tiles(task.core, form, task.pool), task.core.many(form),
      task.core.panel_columns, 1, &Scratch::pieces,
      [&](int64_t row, int64_t column, int64_t count, PlanarPiece* piece) {
        unpack(task, unpacker, row, column, count, piece);
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
    for (int64_t c = 0; c < task.columns; c += kFloatColumns) {
      const int64_t n = std::min(kFloatColumns, task.columns - c);
      for (int64_t r = 0; r < count; r += panel_rows) {
        for (int64_t i = 0; i < panel_rows; ++i) {
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

// Up to so many tokens, rows are faster than panels.
int64_t few_limit(const Kernel& kernel) {
  if (many_tokens_differ(kernel)) return kAlikeTokens;
  if (kernel.float_dot != nullptr) return 2 * Dot::kTokens;
  return kernel.dot != nullptr ? Dot::kTokens : kernel.core->few_tokens;
}

}  // namespace

Status check_matmul(const PackedTensor& weight) {
  const Codec& c = codec(weight.codec);
  if (select_kernel(cpu_level(), weight.codec).core == nullptr) {
    return unsupported("no kernel multiplies weights of type {}", c.name);
  }
  if (!c.divides(weight.shape.columns())) {
    return invalid_argument("rows of {} columns are not whole blocks of {} ({})",
                            weight.shape.columns(), c.block_len, c.name);
  }
  if (const uint64_t expected = c.tensor_bytes(weight.shape); weight.bytes.size() != expected) {
    return invalid_argument("{} weight of shape {} has {} bytes, expected {}", c.name,
                            weight.shape.to_string(), weight.bytes.size(), expected);
  }
  return {};
}

void matmul(std::span<const Product> products, Activations& x, ThreadPool& pool) {
  std::vector<FewTokens> few;
  for (const Product& product : products) {
    const PackedTensor& weight = *product.weight;
    PARE_CHECK(weight.shape.columns() == x.columns(), "weight and activations differ in columns");
    if (x.tokens() == 0 || weight.shape.rows() == 0) continue;
    const Kernel kernel = select_kernel(cpu_level(), weight.codec);
    PARE_CHECK(kernel.core != nullptr, "check_matmul refuses this weight");
    const Task task{weight,       codec(weight.codec), kernel,           x,
                    product.bias, product.y,           product.y_stride, pool};
    if (task.tokens <= few_limit(kernel)) {
      const int64_t unit = few.empty() ? 0 : few.back().first_unit + few.back().units();
      few.push_back(few_tokens(task, unit));
    } else if (kernel.core->bf16 != nullptr) {
      many_tokens_bf16(task);
    } else if (kernel.unpacker != nullptr) {
      many_tokens_unpacked(task);
    } else {
      kernel.wide_floats ? many_tokens_wide(task) : many_tokens_of_floats(task);
    }
  }
  if (!few.empty()) few_tokens(few, pool);
}

void matmul(const PackedTensor& weight, Activations& x, const float* bias, float* y,
            int64_t y_stride, ThreadPool& pool) {
  const Product product{&weight, bias, y, y_stride};
  matmul({&product, 1}, x, pool);
}

}  // namespace pare
