#include "model/exec_native/program.h"

#include <algorithm>

namespace pare {
namespace {

bool is_activation(OpKind kind) {
  return kind == OpKind::kSilu || kind == OpKind::kGeluTanh || kind == OpKind::kGeluErf;
}

// Compiles one part. Slots are shared by all parts that are compiled with the same list.
class PartCompiler {
 public:
  PartCompiler(const ModelDesc& desc, const OpList& ops, Program* program,
               std::vector<int64_t>* slots)
      : desc_(desc), ops_(ops), program_(program), slots_(slots) {
    ValueId most = kStream;
    for (const Op& op : ops) {
      most = std::max(most, op.out);
      for (ValueId in : op.in) most = std::max(most, in);
    }
    values_.resize(static_cast<size_t>(most) + 1);
    last_read_.resize(values_.size(), 0);
    for (size_t i = 0; i < ops.size(); ++i) {
      for (ValueId in : ops[i].in) last_read_[static_cast<size_t>(in)] = i;
    }
    values_[kStream] = {0, 0, desc.hparams.n_embd};
    users_.resize(slots->size(), 0);
    users_[0] = 1;  // never given away
  }

  Status run(std::vector<Step>* steps) {
    for (size_t i = 0; i < ops_.size(); ++i) {
      const Op& op = ops_[i];
      Step step{.op = &op};
      for (ValueId in : op.in) step.in.push_back(place(in));
      if (op.kind == OpKind::kSlice) {
        ValuePlace view = step.in[0];
        view.begin += op.attr.begin;
        view.width = op.attr.width;
        ++users_[static_cast<size_t>(view.slot)];
        place(op.out) = view;
        free_after(i, op);
        continue;  // no work: readers take the columns
      }
      if (!known(op.kind)) return unsupported("an operation that this executor does not know");
      if (is_activation(op.kind) && i + 1 < ops_.size() && multiplies(ops_[i + 1], op.out, i + 1)) {
        // The product follows and nothing else reads the activation: one pass.
        const Op& product = ops_[i + 1];
        step.gated = true;
        step.in.push_back(place(product.in[0] == op.out ? product.in[1] : product.in[0]));
        free_after(i, op);
        for (ValueId in : product.in) {
          if (in != op.out) release_if_last(in, i + 1);
        }
        step.out = place(product.out) = allocate(product.out, width(op));
        ++i;
        finish(std::move(step), steps);
        continue;
      }
      if (op.kind == OpKind::kLinear) {
        step.new_input = !same(linear_input_, step.in[0]);
        linear_input_ = step.in[0];
      }
      if (op.kind == OpKind::kRope) step.rope = rope_of(op.attr.rope);
      if (op.kind == OpKind::kAttention) {
        step.layer = static_cast<int32_t>(program_->attentions.size());
        program_->attentions.push_back(&op);
        linear_input_ = {};  // what follows may run for fewer tokens
      }
      const int64_t columns = width(op);
      // Row by row, an element after the other: such a result may replace what it is made of.
      if (in_place(op.kind)) free_after(i, op);
      step.out = place(op.out) = allocate(op.out, columns);
      if (!in_place(op.kind)) free_after(i, op);
      for (const ValuePlace& in : step.in) {
        if (in.slot == step.out.slot && !row_by_row(op.kind)) {
          return unsupported("an operation that writes over what it reads");
        }
      }
      finish(std::move(step), steps);
    }
    for (size_t i = steps->size(); i-- > 1;) {
      const Step& step = (*steps)[i];
      Step& before = (*steps)[i - 1];
      if (step.op->kind != OpKind::kLinear || step.new_input) continue;
      if (before.op->kind == OpKind::kLinear) before.more_linears = step.more_linears + 1;
    }
    for (size_t i = 0; i + 2 < steps->size(); ++i) mark_gated(steps->data() + i);
    return {};
  }

 private:
  void finish(Step step, std::vector<Step>* steps) {
    if (step.out.slot == linear_input_.slot) linear_input_ = {};
    steps->push_back(std::move(step));
  }
  // Of three steps that follow each other.
  void mark_gated(Step* steps) const {
    const Step& gated = steps[2];
    if (!gated.gated || steps[0].op->kind != OpKind::kLinear || steps[0].more_linears != 1) return;
    const auto is = [&](const Step& linear, size_t in) {
      return same(linear.out, gated.in[in]) && readers(linear.op->out) == 1;
    };
    steps[0].starts_gated =
        (is(steps[0], 0) && is(steps[1], 1)) || (is(steps[1], 0) && is(steps[0], 1));
  }
  int64_t readers(ValueId value) const {
    return std::count_if(ops_.begin(), ops_.end(), [&](const Op& op) {
      return std::find(op.in.begin(), op.in.end(), value) != op.in.end();
    });
  }
  static bool row_by_row(OpKind kind) {
    return kind != OpKind::kLinear && kind != OpKind::kAttention;
  }
  static bool known(OpKind kind) { return kind <= OpKind::kSoftcap; }
  static bool same(const ValuePlace& a, const ValuePlace& b) {
    return a.slot == b.slot && a.begin == b.begin && a.width == b.width;
  }
  // Not norms and ropes: a view of a wider array moves to columns of its own there.
  static bool in_place(OpKind kind) {
    return kind == OpKind::kAdd || kind == OpKind::kMul || is_activation(kind) ||
           kind == OpKind::kScale || kind == OpKind::kSoftcap;
  }
  bool multiplies(const Op& next, ValueId value, size_t index) const {
    return next.kind == OpKind::kMul && next.in.size() == 2 && next.in[0] != next.in[1] &&
           (next.in[0] == value || next.in[1] == value) && value != kStream &&
           last_read_[static_cast<size_t>(value)] == index;
  }

  ValuePlace& place(ValueId id) { return values_[static_cast<size_t>(id)]; }

  int64_t width(const Op& op) {
    switch (op.kind) {
      case OpKind::kEmbedding:
        return desc_.hparams.n_embd;
      case OpKind::kLinear:
        return desc_.tensors[static_cast<size_t>(op.weight)].shape[0];
      case OpKind::kAttention:
        return int64_t{op.attr.heads} * op.attr.value_dim;
      default:
        return place(op.in[0]).width;
    }
  }

  int32_t rope_of(const RopeParams& params) {
    auto& ropes = program_->ropes;
    const auto found = std::ranges::find(ropes, params);
    const auto index = found - ropes.begin();
    if (found == ropes.end()) ropes.push_back(params);
    return static_cast<int32_t>(index);
  }

  // A free array of this width, or a new one. The stream stays where it is.
  ValuePlace allocate(ValueId id, int64_t columns) {
    if (id == kStream) {
      (*slots_)[0] = std::max((*slots_)[0], columns);
      return {0, 0, columns};
    }
    for (size_t s = 1; s < slots_->size(); ++s) {
      if (users_[s] == 0 && (*slots_)[s] == columns) {
        users_[s] = 1;
        return {static_cast<int32_t>(s), 0, columns};
      }
    }
    slots_->push_back(columns);
    users_.push_back(1);
    return {static_cast<int32_t>(slots_->size()) - 1, 0, columns};
  }

  void release_if_last(ValueId id, size_t index) {
    if (id == kStream || last_read_[static_cast<size_t>(id)] != index) return;
    --users_[static_cast<size_t>(place(id).slot)];
    last_read_[static_cast<size_t>(id)] = ~size_t{0};  // once, also if read twice by one operation
  }
  void free_after(size_t index, const Op& op) {
    for (ValueId in : op.in) release_if_last(in, index);
  }

  const ModelDesc& desc_;
  const OpList& ops_;
  Program* program_;
  std::vector<int64_t>* slots_;
  std::vector<ValuePlace> values_;  // by id
  std::vector<size_t> last_read_;   // by id: the operation
  std::vector<int> users_;          // by slot: values that lie in it
  ValuePlace linear_input_;         // of the linear before, unless overwritten since
};

}  // namespace

Result<Program> compile(const ModelDesc& desc) {
  Program program;
  program.slots = program.epilogue_slots = {desc.hparams.n_embd};
  PARE_RETURN_IF_ERROR(
      PartCompiler(desc, desc.graph.prologue, &program, &program.slots).run(&program.prologue));
  program.blocks.resize(desc.graph.blocks.size());
  for (size_t b = 0; b < program.blocks.size(); ++b) {
    PARE_RETURN_IF_ERROR(
        PartCompiler(desc, desc.graph.blocks[b], &program, &program.slots).run(&program.blocks[b]));
  }
  PARE_RETURN_IF_ERROR(PartCompiler(desc, desc.graph.epilogue, &program, &program.epilogue_slots)
                           .run(&program.epilogue));
  return program;
}

}  // namespace pare
