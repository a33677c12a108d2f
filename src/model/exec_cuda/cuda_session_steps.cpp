// The operations of a part, each over all rows at hand.
#include <algorithm>

#include "kernels/cuda/matmul.h"
#include "model/exec_cuda/cuda_session.h"
#include "model/exec_cuda/session_kinds.h"

namespace pare {

using cuda::kFewTokens;

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
      // Not if the linear writes over what the norm reads.
      if (op.feeds_only && next->out.buffer != op.in[0].buffer && takes_one(*next, *rows)) {
        norm_ = &op;
        return;
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
  ready_ = {};
  if (rows->count == 1 && wanted != 0) {
    cuda::AttentionInput one = attention_input(attr);
    one.q = store.q;
    one.tokens = 1;
    one.longest = rows->longest;
    return cuda::attention_one(stream_, store, one, layer, rows->position, arrays_.attention,
                               arrays_.counters, at(op.out, *rows).data);
  }
  cuda::store_keys_values(stream_, store, layer, rows->position);
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

}  // namespace pare
