#include "model/exec_cuda/device_plan.h"

#include <algorithm>
#include <span>

namespace pare {
namespace {

constexpr int kMostHeadColumns = 256;

bool is_activation(OpKind kind) {
  return kind == OpKind::kSilu || kind == OpKind::kGeluTanh || kind == OpKind::kGeluErf;
}
bool same(const ValuePlace& a, const ValuePlace& b) {
  return a.slot == b.slot && a.begin == b.begin && a.width == b.width;
}

// Plans one part: prologue, block or epilogue.
class PartPlanner {
 public:
  // `own`: the buffer of slot s is own[s]; `groups`: the buffers of groups of linears, in the
  // order in which a part has them, shared by all blocks.
  PartPlanner(const std::vector<Step>& steps, std::vector<int32_t> own,
              std::vector<int32_t>* groups, DevicePlan* plan)
      : steps_(steps), own_(std::move(own)), groups_(groups), plan_(plan) {
    for (const int32_t buffer : own_) now_.push_back({buffer, 0, 0});
    now_[0].buffer = 0;  // every part begins with the stream
  }

  Result<DevicePart> run() {
    while (next_ < steps_.size()) {
      const Step& step = steps_[next_];
      const OpAttributes& attr = step.op->attr;
      if (step.op->kind == OpKind::kAttention &&
          std::max(attr.head_dim, attr.value_dim) > kMostHeadColumns) {
        return unsupported("heads of {} columns; the device takes up to {}",
                           std::max(attr.head_dim, attr.value_dim), kMostHeadColumns);
      }
      if (step.op->kind == OpKind::kLinear) {
        linears();
      } else if (!turned_attention()) {
        plain(step);
        ++next_;
      }
    }
    for (size_t i = 0; i + 1 < part_.ops.size(); ++i) {
      const DeviceOp& next = part_.ops[i + 1];
      part_.ops[i].feeds_only = next.kind == OpKind::kLinear && next.in[0] == part_.ops[i].out &&
                                !read_after(part_.ops[i].out.buffer, i + 1);
    }
    return std::move(part_);
  }

 private:
  DevicePlace read(const ValuePlace& value) const {
    const DevicePlace& base = now_[static_cast<size_t>(value.slot)];
    return {base.buffer, base.begin + value.begin, value.width};
  }
  // The slot's own buffer from now on.
  DevicePlace write(const ValuePlace& value) {
    DevicePlace& base = now_[static_cast<size_t>(value.slot)];
    base = {own_[static_cast<size_t>(value.slot)], 0, 0};
    return {base.buffer, value.begin, value.width};
  }
  // Whether step `from` or one behind it reads what is in the slot now.
  bool read_later(int32_t slot, size_t from) const {
    if (slot == 0) return true;  // the stream outlives the part
    for (size_t i = from; i < steps_.size(); ++i) {
      for (const ValuePlace& in : steps_[i].in) {
        if (in.slot == slot) return true;
      }
      if (steps_[i].out.slot == slot) return false;
    }
    return false;
  }

  // Whether an operation behind number `index` reads the buffer before it is written again, or the
  // one at `index` more than its input.
  bool read_after(int32_t buffer, size_t index) const {
    if (buffer == 0 || part_.ops[index].residual.buffer == buffer) return true;
    for (size_t i = index; i < part_.ops.size(); ++i) {
      const DeviceOp& op = part_.ops[i];
      for (const DevicePlace& in : op.in) {
        if (i > index && in.buffer == buffer) return true;
      }
      if (i > index && op.residual.buffer == buffer) return true;
      if (op.out.buffer == buffer) return false;
    }
    return false;
  }

  // A group of linears, and what is joined to it.
  void linears() {
    const size_t count = static_cast<size_t>(steps_[next_].more_linears) + 1;
    DeviceOp made{.kind = OpKind::kLinear, .op = steps_[next_].op};
    made.in.push_back(read(steps_[next_].in[0]));
    const std::span<const Step> group(steps_.data() + next_, count);
    next_ += count;
    if (count == 1 && join_addition(group[0], &made)) return;
    int64_t width = 0;
    const int32_t buffer = group_buffer();
    for (const Step& step : group) {
      DeviceLinear linear{step.op->weight, step.op->bias, {}};
      if (step.out.slot == 0) {
        linear.out = write(step.out);
      } else {
        linear.out = {buffer, width, step.out.width};
        now_[static_cast<size_t>(step.out.slot)] = {buffer, width, 0};
        width += step.out.width;
      }
      made.linears.push_back(linear);
    }
    int64_t& columns = plan_->buffers[static_cast<size_t>(buffer)];
    columns = std::max(columns, width);
    ++group_;
    made.out = made.linears[0].out;
    if (count == 2) join_gate(group, &made);
    part_.ops.push_back(std::move(made));
  }

  int32_t group_buffer() {
    if (group_ == groups_->size()) {
      groups_->push_back(static_cast<int32_t>(plan_->buffers.size()));
      plan_->buffers.push_back(0);
    }
    return (*groups_)[group_];
  }

  // linear, add: one operation if nothing else reads the linear's result.
  bool join_addition(const Step& linear, DeviceOp* made) {
    if (next_ >= steps_.size() || linear.out.slot == 0) return false;
    const Step& add = steps_[next_];
    if (add.op->kind != OpKind::kAdd || same(add.in[0], add.in[1])) return false;
    const bool first = same(add.in[0], linear.out), second = same(add.in[1], linear.out);
    const bool replaced = add.out.slot == linear.out.slot;
    if (!(first || second) || (!replaced && read_later(linear.out.slot, next_ + 1))) return false;
    const DevicePlace residual = read(add.in[first ? 1 : 0]);
    if (own_[static_cast<size_t>(add.out.slot)] == made->in[0].buffer) return false;
    made->residual = residual;
    made->out = write(add.out);
    made->linears.push_back({linear.op->weight, linear.op->bias, made->out});
    part_.ops.push_back(std::move(*made));
    ++next_;
    return true;
  }

  // linear, linear, gate: the gate's result in one operation.
  void join_gate(std::span<const Step> group, DeviceOp* made) {
    if (next_ >= steps_.size()) return;
    const Step& gate = steps_[next_];
    if (!is_activation(gate.op->kind) || !gate.gated) return;
    const bool straight = same(gate.in[0], group[0].out) && same(gate.in[1], group[1].out);
    const bool crossed = same(gate.in[0], group[1].out) && same(gate.in[1], group[0].out);
    if (!straight && !crossed) return;
    for (const Step& step : group) {
      if (step.out.slot != gate.out.slot && read_later(step.out.slot, next_ + 1)) return;
    }
    if (crossed) std::swap(made->linears[0], made->linears[1]);
    made->gate = gate.op;
    made->out = write(gate.out);
    ++next_;
  }

  // rope, rope, attention: one operation, if the ropes turn what it reads and nobody else does.
  bool turned_attention() {
    if (next_ + 2 >= steps_.size()) return false;
    const Step *one = &steps_[next_], *two = one + 1, *attention = one + 2;
    if (one->op->kind != OpKind::kRope || two->op->kind != OpKind::kRope ||
        attention->op->kind != OpKind::kAttention) {
      return false;
    }
    if (same(one->out, attention->in[1])) std::swap(one, two);
    if (!same(one->out, attention->in[0]) || !same(two->out, attention->in[1])) return false;
    if (one->out.slot == two->in[0].slot || two->out.slot == one->in[0].slot) return false;
    for (const Step* rope : {one, two}) {
      if (rope->out.slot == attention->in[2].slot) return false;
      if (rope->out.slot != attention->out.slot && read_later(rope->out.slot, next_ + 3)) {
        return false;
      }
    }
    DeviceOp made{.kind = OpKind::kAttention, .op = attention->op};
    made.layer = attention->layer;
    made.in = {read(one->in[0]), read(two->in[0]), read(attention->in[2])};
    made.q_rope = one->rope;
    made.k_rope = two->rope;
    made.q_out = write(one->out);
    write(two->out);
    made.out = write(attention->out);
    part_.ops.push_back(std::move(made));
    next_ += 3;
    return true;
  }

  void plain(const Step& step) {
    DeviceOp made{.kind = step.op->kind, .op = step.op};
    for (const ValuePlace& in : step.in) made.in.push_back(read(in));
    made.layer = step.layer;
    made.rope = step.rope;
    if (step.op->kind == OpKind::kAttention) made.q_out = made.in[0];
    made.out = write(step.out);
    part_.ops.push_back(std::move(made));
  }

  const std::vector<Step>& steps_;
  std::vector<int32_t> own_;
  std::vector<int32_t>* groups_;
  DevicePlan* plan_;
  std::vector<DevicePlace> now_;  // by slot: where its value lies (widths are not kept)
  DevicePart part_;
  size_t next_ = 0, group_ = 0;
};

}  // namespace

Result<DevicePlan> plan_for_device(const ModelDesc& desc, const Program& program) {
  DevicePlan plan;
  std::vector<int32_t> own, groups, epilogue_own, epilogue_groups;
  const auto add = [&](int64_t columns) {
    plan.buffers.push_back(columns);
    return static_cast<int32_t>(plan.buffers.size()) - 1;
  };
  for (const int64_t columns : program.slots) own.push_back(add(columns));
  PARE_ASSIGN_OR_RETURN(plan.prologue, PartPlanner(program.prologue, own, &groups, &plan).run());
  for (const std::vector<Step>& steps : program.blocks) {
    PARE_ASSIGN_OR_RETURN(DevicePart part, PartPlanner(steps, own, &groups, &plan).run());
    plan.blocks.push_back(std::move(part));
  }
  // The epilogue reads the stream and leaves the logits in a buffer of their own.
  const int64_t vocabulary = desc.hparams.n_vocab;
  plan.logits = {add(vocabulary), 0, vocabulary};
  for (size_t s = 0; s < program.epilogue_slots.size(); ++s) {
    epilogue_own.push_back(s == 0 ? plan.logits.buffer : add(program.epilogue_slots[s]));
  }
  PARE_ASSIGN_OR_RETURN(plan.epilogue,
                        PartPlanner(program.epilogue, epilogue_own, &epilogue_groups, &plan).run());
  return plan;
}

}  // namespace pare
