// The operations of the graph, each over all rows at hand.
#include <algorithm>

#include "codecs/codec.h"
#include "kernels/matmul.h"
#include "model/exec_native/attention.h"
#include "model/exec_native/session_rows.h"
#include "model/exec_native/vector_ops.h"

namespace pare {

// body(row) for every row; many rows on all threads.
template <typename Body>
void Session::for_rows(const Rows& rows, const Body& body) {
  constexpr int64_t kGrain = 8;  // rows that are worth a thread's while
  const int64_t pieces = (rows.count + kGrain - 1) / kGrain;
  const auto piece = [&](size_t i) {
    const int64_t begin = rows.first + static_cast<int64_t>(i) * kGrain;
    const int64_t end = std::min(begin + kGrain, rows.first + rows.count);
    for (int64_t r = begin; r < end; ++r) body(r);
  };
  pool_->parallel_for(static_cast<size_t>(pieces), piece);
}

void Session::embed(const Step& step, const Rows& rows) {
  const PackedTensor& table = model_->matrix(step.op->weight);
  const Codec& from = codec(table.codec);
  const int64_t width = step.out.width;
  const float factor = step.op->attr.factor;
  for_rows(rows, [&](int64_t r) {
    float* out = rows.at(step.out, r);
    const int32_t token = rows.tokens[static_cast<size_t>(r)];
    from.decode_row(table.row_bytes(token, 1).data(), out, width);
    if (factor != 1.0f) scale(out, factor, width, out);
  });
}

void Session::attend(const Step& step, const Rows& rows, int64_t wanted) {
  const OpAttributes& attr = step.op->attr;
  const auto layer = static_cast<size_t>(step.layer);
  const ValuePlace &q = step.in[0], &k = step.in[1], &v = step.in[2];
  const auto store = [&](int64_t head, int64_t r) {
    cache_->store(layer, head, length_ + r, rows.at(k, r) + head * attr.head_dim,
                  rows.at(v, r) + head * attr.value_dim);
  };
  for_rows(rows, [&](int64_t r) {
    for (int64_t head = 0; head < attr.kv_heads; ++head) store(head, r);
  });
  if (wanted == 0) return;
  const int64_t first = rows.first + rows.count - wanted;
  attention(attr, *cache_, layer,
            {.q = rows.at(q, first),
             .q_stride = rows.stride(q),
             .tokens = wanted,
             .position = length_ + first},
            rows.at(step.out, first), rows.stride(step.out), &attention_scratch_, *pool_);
}

void Session::take_input(const Step& linear, const Rows& rows) {
  if (!linear.new_input) return;
  const ValuePlace& in = linear.in[0];
  input_.assign(rows.at(in, rows.first), rows.count, in.width, rows.stride(in));
}

void Session::run_linears(std::span<const Step> steps, const Rows& rows) {
  take_input(steps.front(), rows);
  products_.clear();
  for (const Step& step : steps) {
    products_.push_back({&model_->matrix(step.op->weight), model_->floats(step.op->bias),
                         rows.at(step.out, rows.first), rows.stride(step.out)});
  }
  matmul(products_, input_, *pool_);
}

bool Session::run_gated(std::span<const Step> steps, const Rows& rows) {
  const Step& gated = steps[2];
  const bool gate_first = steps[0].out.slot == gated.in[0].slot;
  const Step &gate = steps[gate_first ? 0 : 1], &up = steps[gate_first ? 1 : 0];
  take_input(steps[0], rows);
  const auto product = [&](const Step& step) {
    return Product{&model_->matrix(step.op->weight), model_->floats(step.op->bias),
                   rows.at(gated.out, rows.first), rows.stride(gated.out)};
  };
  const OpKind kind = gated.op->kind;
  return matmul_gated(
      product(gate), product(up), input_, *pool_,
      [kind](const float* gates, float* y, int64_t n) { activate(kind, gates, y, n, y); });
}

void Session::run_step(const Step& step, const Rows& rows) {
  const Op& op = *step.op;
  const OpAttributes& attr = op.attr;
  const float* weight = nullptr;
  if (op.kind == OpKind::kRmsNorm || op.kind == OpKind::kLayerNorm)
    weight = model_->floats(op.weight);
  const int64_t width = step.out.width;
  const auto in = [&](size_t i, int64_t r) { return rows.at(step.in[i], r); };
  const auto out = [&](int64_t r) { return rows.at(step.out, r); };
  switch (op.kind) {
    case OpKind::kEmbedding:
      return embed(step, rows);
    case OpKind::kPositionEmbedding: {
      const PackedTensor& table = model_->matrix(op.weight);
      return for_rows(rows, [&](int64_t r) {
        std::vector<float> position(static_cast<size_t>(width));
        codec(table.codec)
            .decode_row(table.row_bytes(length_ + r, 1).data(), position.data(), width);
        add(in(0, r), position.data(), width, out(r));
      });
    }
    case OpKind::kRmsNorm: {
      const int64_t slice = attr.head_dim > 0 ? attr.head_dim : width;
      return for_rows(rows, [&](int64_t r) {
        for (int64_t begin = 0; begin < width; begin += slice) {
          rms_norm(in(0, r) + begin, weight, attr.epsilon, slice, out(r) + begin);
        }
      });
    }
    case OpKind::kLayerNorm:
      return for_rows(rows, [&](int64_t r) {
        layer_norm(in(0, r), weight, model_->floats(op.bias), attr.epsilon, width, out(r));
      });
    case OpKind::kLinear:
      return run_linears({&step, 1}, rows);
    case OpKind::kRope: {
      const RopeTable& table = ropes_[static_cast<size_t>(step.rope)];
      return for_rows(rows, [&](int64_t r) {
        rope(in(0, r), table.cos(r), table.sin(r), table.pairs(), attr.rope.layout, attr.heads,
             attr.head_dim, out(r));
      });
    }
    case OpKind::kAttention:
      return attend(step, rows, rows.count);
    case OpKind::kAdd:
      return for_rows(rows, [&](int64_t r) { add(in(0, r), in(1, r), width, out(r)); });
    case OpKind::kMul:
      return for_rows(rows, [&](int64_t r) { multiply(in(0, r), in(1, r), width, out(r)); });
    case OpKind::kSilu:
    case OpKind::kGeluTanh:
    case OpKind::kGeluErf:
      return for_rows(rows, [&](int64_t r) {
        activate(op.kind, in(0, r), step.gated ? in(1, r) : nullptr, width, out(r));
      });
    case OpKind::kScale:
      return for_rows(rows, [&](int64_t r) { scale(in(0, r), attr.factor, width, out(r)); });
    case OpKind::kSoftcap:
      return for_rows(rows, [&](int64_t r) { softcap(in(0, r), attr.factor, width, out(r)); });
    case OpKind::kSlice:
      return;  // readers take the columns
  }
}

}  // namespace pare
