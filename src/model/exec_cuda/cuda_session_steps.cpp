// The operations of a part, each over all rows at hand.
#include <algorithm>

#include "kernels/cuda/matmul.h"
#include "model/exec_cuda/cuda_session.h"

namespace pare {
namespace {

using cuda::kFewTokens;

// From so many tokens on, weights are unpacked once to memory instead of in every tile.
constexpr int64_t kUnpackTokens = 128;

cuda::Gate gate_of(OpKind kind) {
  switch (kind) {
    case OpKind::kSilu:
      return cuda::Gate::kSilu;
    case OpKind::kGeluTanh:
      return cuda::Gate::kGeluTanh;
    default:
      return cuda::Gate::kGeluErf;
  }
}

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

bool is_float(CodecId id) { return cuda::find_device_codec(id)->is_float; }

// Products of half-precision weights read 16 bytes at a time.
bool exact_only(const cuda::Matrix& m) {
  return m.codec == CodecId::kF32 || (is_float(m.codec) && m.columns % 8 != 0);
}

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

cuda::FloatRows CudaSession::at(const DevicePlace& place, const Rows& rows) const {
  const cuda::FloatRows& buffer = arrays_.buffers[static_cast<size_t>(place.buffer)];
  // The epilogue's own buffers begin with the first row at hand.
  const int64_t first = place.buffer >= model_->plan().logits.buffer ? 0 : rows.first;
  return {buffer.data + first * buffer.stride + place.begin, buffer.stride};
}

cuda::Output CudaSession::output(const DeviceLinear& linear, const DevicePlace& residual,
                                 const Rows& rows) const {
  cuda::Output out{at(linear.out, rows), model_->floats(linear.bias), {}};
  if (residual.buffer >= 0) out.residual = at(residual, rows);
  return out;
}

bool CudaSession::needs_int8(const DeviceOp& op, const Rows& rows) const {
  return rows.count <= kFewTokens &&
         std::any_of(op.linears.begin(), op.linears.end(),
                     [&](const auto& l) { return !is_float(model_->matrix(l.weight).codec); });
}
bool CudaSession::needs_half(const DeviceOp& op, const Rows& rows) const {
  return rows.count > kFewTokens &&
         std::any_of(op.linears.begin(), op.linears.end(),
                     [&](const auto& l) { return !exact_only(model_->matrix(l.weight)); });
}

cuda::Forms CudaSession::forms(const DevicePlace& out, const DeviceOp* next, const Rows& rows) {
  cuda::Forms made{.floats = at(out, rows), .int8 = {}, .half = {}};
  if (next == nullptr || next->kind != OpKind::kLinear || next->in[0] != out) return made;
  if (needs_int8(*next, rows)) made.int8 = arrays_.int8;
  if (needs_half(*next, rows)) {
    made.half = {arrays_.half, round_up(out.width, 128), arrays_.half_scale};
  }
  ready_ = out;
  return made;
}

void CudaSession::run_part(const DevicePart& part, Rows* rows, int64_t wanted) {
  for (size_t i = 0; i < part.ops.size(); ++i) {
    const DeviceOp* next = i + 1 < part.ops.size() ? &part.ops[i + 1] : nullptr;
    run_op(part.ops[i], next, rows, wanted);
    if (rows->count == 0) return;
  }
}

void CudaSession::run_op(const DeviceOp& op, const DeviceOp* next, Rows* rows, int64_t wanted) {
  const Op& source = *op.op;
  const OpAttributes& attr = source.attr;
  const auto in = [&](size_t i) { return at(op.in[i], *rows); };
  const int64_t n = rows->count, width = op.out.width;
  if (op.kind == OpKind::kLinear) return linears(op, next, *rows);
  if (op.kind == OpKind::kAttention) return attend(op, next, rows, wanted);
  ready_ = {};
  switch (op.kind) {
    case OpKind::kEmbedding:
      return cuda::gather_rows(stream_, model_->matrix(source.weight), arrays_.params + 2, n,
                               attr.factor, at(op.out, *rows), model_->books());
    case OpKind::kPositionEmbedding: {
      // Rows of the table pass through the memory that products unpack weights to.
      const cuda::FloatRows table{reinterpret_cast<float*>(arrays_.weights), width};
      cuda::count_positions(stream_, rows->position, n, arrays_.index);
      cuda::gather_rows(stream_, model_->matrix(source.weight), arrays_.index, n, 1.0f, table,
                        model_->books());
      return cuda::pointwise(stream_, cuda::Pointwise::kAdd, in(0), table, 0.0f, n, width,
                             at(op.out, *rows));
    }
    case OpKind::kRmsNorm:
      if (attr.head_dim > 0) {
        return cuda::norm_slices(stream_, in(0), n, width, attr.head_dim,
                                 model_->floats(source.weight), attr.epsilon, at(op.out, *rows));
      }
      return cuda::norm_rows(stream_, in(0), n, width, model_->floats(source.weight), nullptr,
                             attr.epsilon, false, forms(op.out, next, *rows));
    case OpKind::kLayerNorm:
      return cuda::norm_rows(stream_, in(0), n, width, model_->floats(source.weight),
                             model_->floats(source.bias), attr.epsilon, true,
                             forms(op.out, next, *rows));
    case OpKind::kRope:
      return cuda::rope_rows(stream_, in(0), n, attr.heads, attr.head_dim,
                             arrays_.turns[static_cast<size_t>(op.rope)], rows->position,
                             at(op.out, *rows));
    case OpKind::kAdd:
      return cuda::pointwise(stream_, cuda::Pointwise::kAdd, in(0), in(1), 0.0f, n, width,
                             at(op.out, *rows));
    case OpKind::kMul:
      return cuda::pointwise(stream_, cuda::Pointwise::kMultiply, in(0), in(1), 0.0f, n, width,
                             at(op.out, *rows));
    case OpKind::kSilu:
    case OpKind::kGeluTanh:
    case OpKind::kGeluErf:
      return cuda::gate_rows(stream_, gate_of(op.kind), in(0),
                             op.in.size() > 1 ? in(1) : cuda::FloatRows{}, n, width,
                             forms(op.out, next, *rows));
    case OpKind::kScale:
      return cuda::pointwise(stream_, cuda::Pointwise::kScale, in(0), {}, attr.factor, n, width,
                             at(op.out, *rows));
    case OpKind::kSoftcap:
      return cuda::pointwise(stream_, cuda::Pointwise::kSoftcap, in(0), {}, attr.factor, n, width,
                             at(op.out, *rows));
    case OpKind::kLinear:
    case OpKind::kAttention:
    case OpKind::kSlice:
      return;
  }
}

// Keys and values of all rows are stored; in the last block only what is wanted is worked out
// from there on (`wanted` is -1 elsewhere).
void CudaSession::attend(const DeviceOp& op, const DeviceOp* next, Rows* rows, int64_t wanted) {
  const OpAttributes& attr = op.op->attr;
  const cuda::KvLayer& layer = arrays_.layers[static_cast<size_t>(op.layer)];
  const auto turns = [&](int32_t rope) {
    return rope < 0 ? cuda::Turns{} : arrays_.turns[static_cast<size_t>(rope)];
  };
  cuda::StoreInput store;
  store.q = at(op.in[0], *rows);
  store.k = at(op.in[1], *rows);
  store.v = at(op.in[2], *rows);
  store.q_out = at(op.q_out, *rows);
  store.tokens = rows->count;
  store.heads = attr.heads;
  store.head_dim = attr.head_dim;
  store.value_dim = attr.value_dim;
  store.q_turns = turns(op.q_rope);
  store.k_turns = turns(op.k_rope);
  cuda::store_keys_values(stream_, store, layer, rows->position);
  ready_ = {};
  if (wanted >= 0 && wanted < rows->count) {
    rows->first += rows->count - wanted;
    rows->count = wanted;
    rows->position = arrays_.params + 1;
    if (wanted == 0) return;
  }
  cuda::AttentionInput in = attention_input(attr);
  in.q = at(op.q_out, *rows);
  in.tokens = rows->count;
  in.longest = rows->longest;
  if (rows->count > kFewTokens && cuda::has_flash_attention(in, layer)) {
    cuda::flash_attention(stream_, in, layer, rows->position, at(op.out, *rows));
    return;
  }
  cuda::Forms out{.floats = at(op.out, *rows), .int8 = {}, .half = {}};
  if (attr.value_dim % 32 == 0 && next != nullptr && next->kind == OpKind::kLinear &&
      next->in[0] == op.out && needs_int8(*next, *rows)) {
    out = forms(op.out, next, *rows);
  }
  cuda::attention(stream_, in, layer, rows->position, arrays_.attention, out);
}

void CudaSession::linears(const DeviceOp& op, const DeviceOp* next, const Rows& rows) {
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
  for (const DeviceLinear& linear : op.linears) {
    multiply(linear, op.residual, at(op.in[0], rows), half, rows);
  }
}

void CudaSession::multiply(const DeviceLinear& linear, const DevicePlace& residual,
                           const cuda::FloatRows& x, const cuda::HalfRows& half, const Rows& rows) {
  const cuda::Matrix& matrix = model_->matrix(linear.weight);
  const cuda::Output out = output(linear, residual, rows);
  const int64_t n = rows.count;
  if (exact_only(matrix)) return cuda::matmul_floats(stream_, {matrix, out}, x, n);
  if (matrix.codec == CodecId::kF16) {
    return cuda::matmul_half(stream_, reinterpret_cast<const uint16_t*>(matrix.field[0]),
                             matrix.rows, matrix.columns, half, n, out);
  }
  if (n < kUnpackTokens && !is_float(matrix.codec)) {
    return cuda::matmul_packed(stream_, {matrix, out}, half, n, model_->books());
  }
  // Some rows at a time, few enough that they stay in the second-level cache.
  const int64_t most = std::max<int64_t>(1, kWeightScratch / matrix.columns);
  for (int64_t first = 0; first < matrix.rows; first += most) {
    const cuda::Matrix part = rows_of(matrix, first, std::min(most, matrix.rows - first));
    cuda::Output to = out;
    to.y.data += first;
    if (to.bias != nullptr) to.bias += first;
    if (to.residual.data != nullptr) to.residual.data += first;
    cuda::to_half(stream_, part, arrays_.weights, model_->books());
    cuda::matmul_half(stream_, arrays_.weights, part.rows, part.columns, half, n, to);
  }
}

}  // namespace pare
