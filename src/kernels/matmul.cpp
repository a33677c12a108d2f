#include "kernels/matmul.h"

#include <algorithm>
#include <vector>

#include "kernels/matmul_task.h"

namespace pare {
namespace {

// With few tokens, rows are handed out by so many.
constexpr int64_t kFewRows = Dot::kRows;
constexpr int64_t kMaxFewTokens = kFewBesideBf16;  // of rows that are unpacked

// What a thread needs to work with; made once for each.
struct Scratch {
  AlignedBuffer<PlanarPiece> piece;
  AlignedBuffer<float> floats;
};
Scratch& scratch() {
  thread_local Scratch s;
  return s;
}

void add_bias(const Task& task, int64_t begin, int64_t count) {
  if (task.bias == nullptr) return;
  for (int64_t t = 0; t < task.tokens; ++t) {
    float* y = task.y + t * task.y_stride;
    for (int64_t r = begin; r < begin + count; ++r) y[r] += task.bias[r];
  }
}

// Few tokens: one row after the other.

void few_unpacked(const Task& task, const Int8Rows& x, int64_t begin, int64_t count) {
  const Unpacker& unpacker = *task.kernel.unpacker;
  const Core::Few few = task.core.few(unpacker.form);
  PlanarPiece* piece = scratch().piece.reserve(1);
  for (int64_t r = begin; r < begin + count; ++r) {
    float sums[kMaxFewTokens] = {};
    for (int64_t c = 0; c < task.columns; c += kPieceColumns) {
      const int64_t n = std::min<int64_t>(kPieceColumns, task.columns - c);
      unpack(task, r, c, n, piece);
      few(unpacker.form, *piece, n,
          {x.q + c, x.scale + c / 32, x.scale16 + c / 16, x.sum + c / 32, x.sum16 + c / 16,
           x.stride},
          task.tokens, sums);
    }
    for (int64_t t = 0; t < task.tokens; ++t) task.y[t * task.y_stride + r] = sums[t];
  }
}

void few_dots(const Task& task, const Int8Rows& x, int64_t begin, int64_t count) {
  const Dot& dot = *task.kernel.dot;
  for (int64_t r = begin; r < begin + count; r += kFewRows) {
    const int64_t rows = std::min(kFewRows, begin + count - r);
    for (int64_t t = 0; t < task.tokens; t += dot.at_once) {
      dot.dot(task.packed(r, 0), rows, task.columns, x.from(t),
              std::min(dot.at_once, task.tokens - t), task.y + t * task.y_stride + r,
              task.y_stride);
    }
  }
}

void few_float_dots(const Task& task, const Int8Rows&, int64_t begin, int64_t count) {
  for (int64_t r = begin; r < begin + count; r += kFewRows) {
    const int64_t rows = std::min(kFewRows, begin + count - r);
    task.kernel.float_dot(task.packed(r, 0), rows, task.columns, task.x.row(0), task.x.stride(),
                          task.tokens, task.y + r, task.y_stride);
  }
}

constexpr int64_t kFloatColumns = 512;  // of a piece of float weights

void few_decoded(const Task& task, const Int8Rows&, int64_t begin, int64_t count) {
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
  void (*run)(const Task&, const Int8Rows& x, int64_t begin, int64_t count);
  Int8Rows x = {};  // of quantized weights

  int64_t units() const { return (task.rows + kFewRows - 1) / kFewRows; }
  void run_units(int64_t begin, int64_t end) const {
    const int64_t first = (begin - first_unit) * kFewRows;
    const int64_t rows = std::min((end - begin) * kFewRows, task.rows - first);
    run(task, x, first, rows);
    add_bias(task, first, rows);
  }
};

FewTokens few_tokens(const Task& task, int64_t first_unit) {
  if (task.kernel.float_dot != nullptr) return {task, first_unit, few_float_dots};
  if (task.kernel.unpacker == nullptr) return {task, first_unit, few_decoded};
  const Dot* const dot = task.kernel.dot;
  const Int8Rows x = task.x.int8_rows(dot != nullptr ? dot->halved : 0, task.pool);
  return {task, first_unit, dot != nullptr ? few_dots : few_unpacked, x};
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

// Up to so many tokens, at least kAlikeTokens, are multiplied by rows.
int64_t few_limit(const Kernel& kernel) {
  if (kernel.core->bf16 != nullptr) return kFewBesideBf16;
  if (kernel.float_dot != nullptr) return kFewFloatTokens;
  return kernel.dot != nullptr ? kernel.dot->most_tokens : kAlikeTokens;
}

Task make_task(const Product& product, Activations& x, ThreadPool& pool) {
  const PackedTensor& weight = *product.weight;
  PARE_CHECK(weight.shape.columns() == x.columns(), "weight and activations differ in columns");
  Kernel kernel = select_kernel(cpu_level(), weight.codec);
  if (x.whole()) kernel.round_floats = false;
  PARE_CHECK(kernel.core != nullptr, "check_matmul refuses this weight");
  return {weight, codec(weight.codec), kernel, x, product.bias, product.y, product.y_stride, pool};
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
    if (x.tokens() == 0 || product.weight->shape.rows() == 0) continue;
    const Task task = make_task(product, x, pool);
    const Kernel& kernel = task.kernel;
    if (task.tokens <= few_limit(kernel)) {
      const int64_t unit = few.empty() ? 0 : few.back().first_unit + few.back().units();
      few.push_back(few_tokens(task, unit));
    } else if (kernel.core->bf16 != nullptr) {
      many_tokens_bf16(task);
    } else if (kernel.unpacker != nullptr) {
      many_tokens_unpacked(task);
    } else {
      kernel.round_floats ? many_tokens_wide(task) : many_tokens_of_floats(task);
    }
  }
  if (!few.empty()) few_tokens(few, pool);
}

bool matmul_gated(const Product& gate, const Product& up, Activations& x, ThreadPool& pool,
                  const Gate& apply) {
  const Task gating = make_task(gate, x, pool), task = make_task(up, x, pool);
  const bool many = task.tokens > few_limit(gating.kernel) && task.tokens > few_limit(task.kernel);
  return many && task.core.bf16 != nullptr && many_tokens_gated_bf16(gating, task, apply);
}

void matmul(const PackedTensor& weight, Activations& x, const float* bias, float* y,
            int64_t y_stride, ThreadPool& pool) {
  const Product product{&weight, bias, y, y_stride};
  matmul({&product, 1}, x, pool);
}

}  // namespace pare
