// Products: which kernels do them, by how many tokens there are and what the weights are.
#include <algorithm>

#include "kernels/cuda/rows.h"
#include "model/exec_cuda/cuda_session.h"
#include "model/exec_cuda/session_kinds.h"

namespace pare {
namespace {

using cuda::kFewTokens;

// From so many tokens on, weights are unpacked once to memory instead of in every tile.
constexpr int64_t kUnpackTokens = 128;

cuda::Matrix rows_of(const cuda::Matrix& m, int64_t first, int64_t count) {
  cuda::Matrix part = m;
  part.rows = count;
  const cuda::DeviceCodec& codec = *cuda::find_device_codec(m.codec);
  for (int f = 0; f < codec.field_count; ++f) {
    part.field[f] += first * (m.columns / codec.block_len) * codec.field[f].bytes;
  }
  return part;
}

}  // namespace

bool CudaSession::takes_one(const DeviceOp& op, const Rows& rows) const {
  if (rows.count != 1 || op.linears.size() > cuda::kMaxSegments) return false;
  const cuda::Matrix& first = model_->matrix(op.linears[0].weight);
  for (const DeviceLinear& linear : op.linears) {
    const cuda::Matrix& m = model_->matrix(linear.weight);
    const bool alike = op.gate == nullptr || (m.codec == first.codec && m.rows == first.rows);
    if (!cuda::takes_one(stream_, m) || !alike ||
        cuda::family_of(m.codec) != cuda::family_of(first.codec)) {
      return false;
    }
  }
  return op.in[0].begin % 4 == 0;  // read 16 bytes at a time
}

void CudaSession::one_token(const DeviceOp& op, const Rows& rows) {
  std::vector<cuda::Segment> segments;
  for (const DeviceLinear& linear : op.linears) {
    segments.push_back({model_->matrix(linear.weight), output(linear, op.residual, rows)});
  }
  if (op.gate != nullptr) segments[0].out.y = at(op.out, rows);
  cuda::NormWeight norm;
  const float* x = at(op.in[0], rows).data;
  if (norm_ != nullptr) {
    norm = {model_->floats(norm_->op->weight), norm_->op->attr.epsilon};
    x = at(norm_->in[0], rows).data;
    norm_ = nullptr;
  }
  ready_ = {};
  cuda::matvec_one(stream_, segments, x, norm,
                   op.gate == nullptr ? cuda::Gate::kNone : gate_of(op.gate->kind),
                   model_->books());
}

void CudaSession::linears(const DeviceOp& op, const DeviceOp* next, const Rows& rows) {
  if (takes_one(op, rows)) return one_token(op, rows);
  if (ready_ != op.in[0] && (needs_int8(op, rows) || needs_half(op, rows))) {
    cuda::Forms out = forms(op.in[0], &op, rows);
    out.floats = {};  // they are what is converted
    cuda::convert_rows(stream_, at(op.in[0], rows), rows.count, op.in[0].width, out);
  }
  if (rows.count <= kFewTokens) {
    few_tokens(op, next, rows);
  } else {
    many_tokens(op, rows);
    if (op.gate != nullptr) gate(op, next, rows);
  }
  // A gate's result may be there in the forms that are read next; others' input is still.
  if (op.gate == nullptr && op.out.buffer == op.in[0].buffer) ready_ = {};
}

void CudaSession::few_tokens(const DeviceOp& op, const DeviceOp* next, const Rows& rows) {
  const cuda::Forms x{.floats = at(op.in[0], rows), .int8 = arrays_.int8, .half = {}};
  const auto n = static_cast<int>(rows.count);
  std::vector<cuda::Segment> segments;
  for (const DeviceLinear& linear : op.linears) {
    segments.push_back({model_->matrix(linear.weight), output(linear, op.residual, rows)});
  }
  if (op.gate != nullptr && segments[0].matrix.codec == segments[1].matrix.codec &&
      segments[0].matrix.rows == segments[1].matrix.rows) {
    segments[0].out.y = at(op.out, rows);
    cuda::matvec(stream_, segments, x, n, gate_of(op.gate->kind), model_->books());
    ready_ = {};
    return;
  }
  // Neighbours of one family go together.
  for (size_t begin = 0, end; begin < segments.size(); begin = end) {
    const int family = cuda::family_of(segments[begin].matrix.codec);
    for (end = begin + 1; end < segments.size() && end - begin < cuda::kMaxSegments; ++end) {
      if (cuda::family_of(segments[end].matrix.codec) != family) break;
    }
    cuda::matvec(stream_, std::span(segments).subspan(begin, end - begin), x, n, cuda::Gate::kNone,
                 model_->books());
  }
  if (op.gate != nullptr) gate(op, next, rows);
}

void CudaSession::gate(const DeviceOp& op, const DeviceOp* next, const Rows& rows) {
  ready_ = {};
  cuda::gate_rows(stream_, gate_of(op.gate->kind), at(op.linears[0].out, rows),
                  at(op.linears[1].out, rows), rows.count, op.out.width, forms(op.out, next, rows));
}

void CudaSession::many_tokens(const DeviceOp& op, const Rows& rows) {
  const cuda::HalfRows half{arrays_.half, round_up(op.in[0].width, 128), arrays_.half_scale};
  const int64_t columns = op.in[0].width;
  // Matrices whose results lie side by side are one: their rows are unpacked one behind the other.
  int64_t all_rows = 0;
  bool together = op.linears.size() > 1 && rows.count >= kUnpackTokens;
  for (const DeviceLinear& linear : op.linears) {
    const DevicePlace& first = op.linears[0].out;
    together = together && linear.bias < 0 && linear.out.buffer == first.buffer &&
               linear.out.begin == first.begin + all_rows &&
               !exact_only(model_->matrix(linear.weight));
    all_rows += linear.out.width;
  }
  // Halves that follow each other in memory are read where they lie.
  bool in_place = together;
  int64_t before = 0;
  for (const DeviceLinear& linear : op.linears) {
    const cuda::Matrix& first = model_->matrix(op.linears[0].weight);
    const cuda::Matrix& m = model_->matrix(linear.weight);
    in_place =
        in_place && m.codec == CodecId::kF16 && m.field[0] == first.field[0] + before * columns * 2;
    before += m.rows;
  }
  if (in_place) {
    const cuda::Matrix& first = model_->matrix(op.linears[0].weight);
    return multiply_halves(reinterpret_cast<const uint16_t*>(first.field[0]), all_rows, columns,
                           half, rows.count, {at(op.linears[0].out, rows), nullptr, {}});
  }
  if (together && all_rows * columns <= arrays_.weight_halves) {
    int64_t done = 0;
    for (const DeviceLinear& linear : op.linears) {
      cuda::to_half(stream_, model_->matrix(linear.weight), arrays_.weights + done * columns,
                    model_->books());
      done += linear.out.width;
    }
    multiply_halves(arrays_.weights, all_rows, columns, half, rows.count,
                    {at(op.linears[0].out, rows), nullptr, {}});
    return;
  }
  for (const DeviceLinear& linear : op.linears) {
    multiply(linear, op.residual, at(op.in[0], rows), half, rows);
  }
}

void CudaSession::multiply_halves(const uint16_t* weight, int64_t rows_count, int64_t columns,
                                  const cuda::HalfRows& x, int64_t tokens,
                                  const cuda::Output& out) {
  if (blas_ == nullptr || tokens < kUnpackTokens) {
    return cuda::matmul_half(stream_, weight, rows_count, columns, x, tokens, out);
  }
  // A residual may be what the result replaces, so the product is made apart from it.
  const bool apart = out.residual.data != nullptr;
  const cuda::FloatRows y = apart ? arrays_.product : out.y;
  if (stream_.error != cudaSuccess) return;
  if (!blas_->multiply(weight, rows_count, columns, x.data, x.stride, tokens, y.data, y.stride)) {
    return stream_.note(cudaErrorUnknown);
  }
  cuda::finish_product(stream_, y, x.scale, tokens, rows_count, out);
}

void CudaSession::multiply(const DeviceLinear& linear, const DevicePlace& residual,
                           const cuda::FloatRows& x, const cuda::HalfRows& half, const Rows& rows) {
  const cuda::Matrix& matrix = model_->matrix(linear.weight);
  const cuda::Output out = output(linear, residual, rows);
  const int64_t n = rows.count;
  if (exact_only(matrix)) return cuda::matmul_floats(stream_, {matrix, out}, x, n);
  if (matrix.codec == CodecId::kF16) {
    return multiply_halves(reinterpret_cast<const uint16_t*>(matrix.field[0]), matrix.rows,
                           matrix.columns, half, n, out);
  }
  if (n < kUnpackTokens && !is_float(matrix.codec)) {
    return cuda::matmul_packed(stream_, {matrix, out}, half, n, model_->books());
  }
  const int64_t most = std::max<int64_t>(1, arrays_.weight_halves / matrix.columns);
  for (int64_t first = 0; first < matrix.rows; first += most) {
    const cuda::Matrix part = rows_of(matrix, first, std::min(most, matrix.rows - first));
    cuda::Output to = out;
    to.y.data += first;
    if (to.bias != nullptr) to.bias += first;
    if (to.residual.data != nullptr) to.residual.data += first;
    cuda::to_half(stream_, part, arrays_.weights, model_->books());
    multiply_halves(arrays_.weights, part.rows, part.columns, half, n, to);
  }
}

}  // namespace pare
