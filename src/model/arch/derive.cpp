#include "model/arch/derive.h"

#include <map>

namespace pare {
namespace {

// The operations of one part, with every read bound to the operation that wrote the value
// (kStream is written several times).
class Part {
 public:
  explicit Part(const OpList& ops) : ops_(ops), writers_(ops.size()) {
    std::map<ValueId, int> last;
    for (size_t i = 0; i < ops.size(); ++i) {
      for (ValueId in : ops[i].in) {
        auto found = last.find(in);
        writers_[i].push_back(found == last.end() ? -1 : found->second);
      }
      last[ops[i].out] = static_cast<int>(i);
    }
    result_ = last.contains(kStream) ? last[kStream] : -1;
  }

  // The operation that wrote input `input` of operation `op`; -1: the part's own input.
  int writer(int op, size_t input) const { return writers_[static_cast<size_t>(op)][input]; }

  // The linear operations that read what `op` writes; empty if anything else reads it too.
  std::vector<int> linear_readers(int op) const {
    std::vector<int> readers;
    for (size_t i = 0; i < ops_.size(); ++i) {
      for (int w : writers_[i]) {
        if (w != op) continue;
        if (ops_[i].kind != OpKind::kLinear) return {};
        readers.push_back(static_cast<int>(i));
      }
    }
    return op == result_ ? std::vector<int>{} : readers;
  }

  // The linear operation whose output reaches input `input` of `op` through slices alone.
  int linear_source(int op, size_t input) const {
    for (op = writer(op, input); op >= 0; op = writer(op, 0)) {
      const OpKind kind = ops_[static_cast<size_t>(op)].kind;
      if (kind == OpKind::kLinear) return op;
      if (kind != OpKind::kSlice) return -1;
    }
    return -1;
  }

  const Op& op(int i) const { return ops_[static_cast<size_t>(i)]; }
  int size() const { return static_cast<int>(ops_.size()); }

 private:
  const OpList& ops_;
  std::vector<std::vector<int>> writers_;
  int result_ = -1;
};

std::string stem(const std::string& name) {
  const std::string suffix = ".weight";
  return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : name;
}

void add_sites(const Part& part, int block, ModelDesc* desc) {
  std::map<int, size_t> by_writer;
  for (int i = 0; i < part.size(); ++i) {
    const Op& op = part.op(i);
    if (op.kind != OpKind::kLinear) continue;
    auto [found, is_new] = by_writer.try_emplace(part.writer(i, 0), desc->sites.size());
    if (is_new) {
      const TensorDesc& first = desc->tensors[static_cast<size_t>(op.weight)];
      desc->sites.push_back({stem(first.name), block, first.shape.columns(), {}});
    }
    desc->sites[found->second].readers.push_back(op.weight);
  }
}

void add_couplings(const Part& part, bool tied, ModelDesc* desc) {
  auto add = [&](Coupling::Kind kind, int32_t from, const std::vector<int>& readers) {
    Coupling coupling{kind, from, {}};
    for (int reader : readers) coupling.to.push_back(part.op(reader).weight);
    // The tied output matrix is the embedding too: it cannot follow a change of the norm.
    const bool reads_embedding =
        tied && desc->tensors[static_cast<size_t>(coupling.to[0])].role == Role::kTokenEmbedding;
    if (!reads_embedding) desc->couplings.push_back(std::move(coupling));
  };
  for (int i = 0; i < part.size(); ++i) {
    const Op& op = part.op(i);
    const bool norm = op.kind == OpKind::kRmsNorm || op.kind == OpKind::kLayerNorm;
    if (!norm && op.kind != OpKind::kAttention && op.kind != OpKind::kMul) continue;
    const std::vector<int> readers = part.linear_readers(i);
    if (readers.empty()) continue;
    if (norm) {
      add(Coupling::Kind::kNormReaders, op.weight, readers);
    } else if (op.kind == OpKind::kAttention) {
      if (int v = part.linear_source(i, 2); v >= 0)
        add(Coupling::Kind::kValueOutput, part.op(v).weight, readers);
    } else if (int up = part.linear_source(i, 1); up >= 0) {
      add(Coupling::Kind::kUpDown, part.op(up).weight, readers);
    }
  }
}

}  // namespace

void derive_sites_and_couplings(ModelDesc* desc) {
  desc->sites.clear();
  desc->couplings.clear();
  if (desc->hparams.tied_output) {
    const int32_t embedding = desc->find("token_embd.weight");
    desc->couplings.push_back({Coupling::Kind::kTiedEmbedding, embedding, {embedding}});
  }
  auto visit = [&](const OpList& ops, int block) {
    const Part part(ops);
    add_sites(part, block, desc);
    add_couplings(part, desc->hparams.tied_output, desc);
  };
  visit(desc->graph.prologue, -1);
  for (size_t b = 0; b < desc->graph.blocks.size(); ++b) {
    visit(desc->graph.blocks[b], static_cast<int>(b));
  }
  visit(desc->graph.epilogue, -1);
}

}  // namespace pare
