#include "methods/encode/gptq.h"

#include <algorithm>

#include "base/clones.h"
#include "model/exec_torch/torch_error.h"
#include "model/exec_torch/torch_threads.h"

namespace pare {
namespace {

// Rows handled by one task: fixed, so that results do not depend on the number of threads.
constexpr int64_t kRowTile = 64;

// y[0, n) -= a * x[0, n). Element by element: the same result on every instruction set.
PARE_CLONES void subtract_scaled(float* y, const float* x, float a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] -= a * x[i];
}

}  // namespace

// Walks one tile of rows through all columns.
class GptqSolver {
 public:
  GptqSolver(const Codec& codec, const HessianFactor& factor, const torch::Tensor& weight,
             std::byte* bytes, float* decoded)
      : codec_(codec), factor_(factor), weight_(weight), bytes_(bytes), decoded_(decoded) {}

  void solve_tile(int64_t row_begin, int64_t row_count) const {
    const int64_t n = factor_.columns();
    const torch::Tensor order =
        torch::from_blob(const_cast<int64_t*>(factor_.order.data()), {n}, torch::kInt64);
    // In solving order, corrected as the solver goes.
    torch::Tensor tile = weight_.narrow(0, row_begin, row_count).index_select(1, order);
    for (int64_t begin = 0; begin < n; begin += HessianFactor::kBlock) {
      const int64_t count = std::min(HessianFactor::kBlock, n - begin);
      torch::Tensor errors = torch::empty({row_count, count});
      for (int64_t r = 0; r < row_count; ++r) {
        solve_block(row_begin + r, begin, count, tile.data_ptr<float>() + r * n,
                    errors.data_ptr<float>() + r * count);
      }
      const int64_t rest = n - begin - count;
      if (rest > 0) {
        tile.narrow(1, begin + count, rest)
            .sub_(torch::mm(errors,
                            factor_.upper.narrow(0, begin, count).narrow(1, begin + count, rest)));
      }
    }
  }

 private:
  // One row, one block of columns. The order inside a block mixes its fit spans, so all of them
  // are fitted first.
  void solve_block(int64_t row, int64_t begin, int64_t count, float* w, float* errors) const {
    const Grid& grid = *codec_.grid;
    const int64_t span = grid.fit_span();
    const int64_t unit = grid.round_unit();
    const int64_t n = factor_.columns();
    const int64_t spans = count / span;
    float x[HessianFactor::kBlock];
    for (int64_t k = 0; k < count; ++k) {
      x[factor_.order[static_cast<size_t>(begin + k)] - begin] = w[begin + k];
    }
    SpanParams params[HessianFactor::kBlock / 16];
    int32_t codes[HessianFactor::kBlock];
    for (int64_t s = 0; s < spans; ++s) {
      grid.fit(x + s * span, factor_.pivot_cost.data() + begin + s * span, &params[s]);
    }
    float* values = decoded_ + row * n + begin;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t column = factor_.order[static_cast<size_t>(begin + k)] - begin;
      const float corrected = w[begin + k];
      const int64_t s = column / span;
      float value;
      codes[column] =
          grid.round(params[s], static_cast<int>(column - s * span), &corrected, nullptr, &value);
      values[column] = value;
      const float* u = factor_.upper.data_ptr<float>() + (begin + k) * n + begin;
      const float error = (corrected - value) / u[k];
      errors[k] = error;
      subtract_scaled(w + begin + k + 1, u + k + 1, error, count - k - 1);
    }
    std::byte* out = bytes_ + static_cast<uint64_t>(row) * codec_.row_bytes(n);
    out += codec_.row_bytes(begin);
    for (int64_t s = 0; s < spans; ++s) {
      grid.pack(params[s], codes + s * span / unit, out + s * codec_.row_bytes(span));
    }
  }

  const Codec& codec_;
  const HessianFactor& factor_;
  const torch::Tensor& weight_;
  std::byte* bytes_;
  float* decoded_;
};

Result<EncodedTensor> gptq_encode(const Codec& codec, const torch::Tensor& weight,
                                  const HessianFactor& factor, ThreadPool& pool) {
  if (codec.grid == nullptr) return unsupported("{} has no grid to round onto", codec.name);
  if (codec.grid->round_unit() != 1) {
    return unsupported("{}: error compensation rounds single columns only", codec.name);
  }
  const int64_t rows = weight.size(0), columns = weight.size(1);
  if (columns != factor.columns()) {
    return internal_error("weight has {} columns, its Hessian {}", columns, factor.columns());
  }
  if (!codec.divides(columns)) {
    return invalid_argument("rows of {} columns do not divide into blocks of {} ({})", columns,
                            codec.block_len, codec.name);
  }
  try {
    const torch::Tensor w = weight.to(torch::kFloat32).cpu().contiguous();
    EncodedTensor encoded;
    encoded.bytes.resize(codec.tensor_bytes(Shape{rows, columns}));
    encoded.decoded = torch::empty({rows, columns});
    const GptqSolver solver(codec, factor, w, encoded.bytes.data(),
                            encoded.decoded.data_ptr<float>());
    const int64_t tiles = (rows + kRowTile - 1) / kRowTile;
    pool.parallel_for(static_cast<size_t>(tiles), [&](size_t t) {
      follow_thread_setting();
      torch::NoGradGuard no_grad;
      const int64_t begin = static_cast<int64_t>(t) * kRowTile;
      solver.solve_tile(begin, std::min(kRowTile, rows - begin));
    });
    return encoded;
  } catch (const std::exception& e) {
    return torch_error("GPTQ", e);
  }
}

Result<EncodedTensor> rtn_encode(const Codec& codec, const torch::Tensor& weight,
                                 const torch::Tensor& importance, ThreadPool& pool) {
  if (codec.encode_row == nullptr) return unsupported("{} can be read, not written", codec.name);
  const int64_t rows = weight.size(0), columns = weight.size(1);
  if (!codec.divides(columns)) {
    return invalid_argument("rows of {} columns do not divide into blocks of {} ({})", columns,
                            codec.block_len, codec.name);
  }
  try {
    const torch::Tensor w = weight.to(torch::kFloat32).cpu().contiguous();
    const torch::Tensor weights =
        importance.defined() ? importance.to(torch::kFloat32).contiguous() : torch::Tensor();
    EncodedTensor encoded;
    encoded.bytes.resize(codec.tensor_bytes(Shape{rows, columns}));
    encoded.decoded = torch::empty({rows, columns});
    const float* in = w.data_ptr<float>();
    const float* column_weight = weights.defined() ? weights.data_ptr<float>() : nullptr;
    float* decoded = encoded.decoded.data_ptr<float>();
    const uint64_t stride = codec.row_bytes(columns);
    const int64_t tiles = (rows + kRowTile - 1) / kRowTile;
    pool.parallel_for(static_cast<size_t>(tiles), [&](size_t t) {
      const int64_t end = std::min(rows, (static_cast<int64_t>(t) + 1) * kRowTile);
      for (int64_t r = static_cast<int64_t>(t) * kRowTile; r < end; ++r) {
        std::byte* out = encoded.bytes.data() + static_cast<uint64_t>(r) * stride;
        codec.encode_row(in + r * columns, column_weight, out, columns);
        codec.decode_row(out, decoded + r * columns, columns);
      }
    });
    return encoded;
  } catch (const std::exception& e) {
    return torch_error("encoding", e);
  }
}

double weighted_error(const torch::Tensor& weight, const torch::Tensor& decoded,
                      const torch::Tensor& hessian, const torch::Tensor& row_weight) {
  torch::NoGradGuard no_grad;
  const torch::Tensor delta = decoded - weight;
  const torch::Tensor h = hessian.to(torch::kFloat32);
  torch::Tensor per_row =
      h.dim() == 1 ? torch::mv(delta * delta, h) : (torch::mm(delta, h) * delta).sum(1);
  per_row = per_row.to(torch::kFloat64);
  if (row_weight.defined()) per_row = per_row * row_weight;
  return per_row.mean().item<double>();
}

}  // namespace pare
