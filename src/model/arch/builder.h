// Builds a ModelDesc: each call emits an operation and declares the tensor that it uses.
//
// Names are canonical: in a block, "attn_q" means "blk.<n>.attn_q". Shapes come from the
// hyper-parameters, so that what a file holds can be checked against them. Methods cannot fail:
// the hyper-parameters were checked when they were read.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "model/arch/arch.h"

namespace pare {

// The hyper-parameters that all decoders here share. `eps_key` names the norm's epsilon.
// n_vocab comes from the token embedding's rows, which decide in every format.
Result<Hparams> read_hparams(const ArchInput& input, const KeyReader& keys,
                             std::string_view eps_key);

class GraphBuilder {
 public:
  GraphBuilder(const ArchInput& input, std::string arch, const Hparams& hparams);

  const Hparams& hparams() const { return desc_.hparams; }

  // Where the following operations go; values are numbered anew.
  void begin_prologue() { begin(&desc_.graph.prologue, -1); }
  void begin_block(int block);
  void begin_epilogue() { begin(&desc_.graph.epilogue, -1); }

  enum class Bias { kNone, kIfPresent, kRequired };

  // Prologue.
  void token_embedding(float factor = 1.0f);
  void position_embedding();
  // A tensor outside the blocks that operations refer to (rope factors): its index, or -1 if the
  // model does not have it.
  int32_t optional_tensor(std::string_view name, Role role, Shape shape);

  // Any part. Each returns the value that it writes.
  ValueId rms_norm(ValueId in, std::string_view name, Role role, int head_dim = 0);
  ValueId layer_norm(ValueId in, std::string_view name, Role role);
  ValueId linear(ValueId in, int64_t in_width, std::string_view name, Role role, int64_t out_width,
                 Bias bias = Bias::kIfPresent);
  ValueId slice(ValueId in, int64_t begin, int64_t width);
  ValueId rope(ValueId in, int heads, const RopeParams& params);
  ValueId unary(OpKind kind, ValueId in, float factor = 1.0f);
  ValueId multiply(ValueId a, ValueId b);
  void add_to_stream(ValueId in);  // stream = stream + in

  struct Attention {
    bool fused_qkv = false;        // one matrix "attn_qkv"
    Bias bias = Bias::kIfPresent;  // of q, k, v
    Bias output_bias = Bias::kIfPresent;
    bool head_norms = false;           // RMS norms of each head of q and k
    const RopeParams* rope = nullptr;  // null: positions were embedded
    float scale = 0.0f;                // 0: 1 / sqrt(head_dim)
    float softcap = 0.0f;
    int64_t window = 0;
  };
  ValueId attention(ValueId in, const Attention& options);

  struct Ffn {
    enum class Form { kGated, kFusedGateUp, kPlain } form = Form::kGated;
    OpKind activation = OpKind::kSilu;
    Bias bias = Bias::kIfPresent;
  };
  ValueId ffn(ValueId in, const Ffn& options);

  // Output matrix (the token embedding if there is no other) and optional soft cap.
  void logits(ValueId in, float softcap = 0.0f);

  ModelDesc finish() { return std::move(desc_); }

 private:
  void begin(OpList* ops, int block);
  ValueId emit(Op op);
  bool present(const std::string& name) const { return present_.contains(name); }
  std::string full_name(std::string_view name) const;
  int32_t declare(std::string name, Role role, Shape shape, bool is_bias = false,
                  bool optional = false);

  ModelDesc desc_;
  std::unordered_set<std::string_view> present_;
  OpList* ops_ = nullptr;
  int block_ = -1;
  ValueId next_ = 1;
};

}  // namespace pare
