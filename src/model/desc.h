// What pare knows of a model beyond its bytes: every tensor with its role, which weights read
// the same activations (sites), which weights may be changed together without changing the
// function (couplings), and the graph. Built by an architecture file from GGUF-form metadata;
// nothing else in pare matches on tensor names.
//
// All tensors are in *canonical* form: GGUF's names and conventions (llama's q and k rows
// interleaved for rope, gemma's norm weights with their one added, GPT-2's matrices as
// [out, in]). model/open.h presents a Hugging Face directory in this form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf/metadata.h"
#include "model/graph.h"
#include "tensor/shape.h"

namespace pare {

enum class Role {
  kTokenEmbedding,
  kPositionEmbedding,
  kOutput,
  kOutputNorm,
  kRopeFactors,
  kAttentionNorm,
  kAttentionPostNorm,
  kQNorm,
  kKNorm,
  kQ,
  kK,
  kV,
  kQkv,
  kAttentionOutput,
  kFfnNorm,
  kFfnPostNorm,
  kFfnGate,
  kFfnUp,
  kFfnGateUp,
  kFfnDown,
  kOther,
};
const char* role_name(Role role);  // "attn_q"

struct TensorDesc {
  std::string name;  // canonical: "blk.3.attn_q.weight"
  Role role = Role::kOther;
  int block = -1;  // -1: outside the blocks
  Shape shape;     // as declared by the hyper-parameters
  bool is_bias = false;
  bool optional = false;     // may be absent (rope factors, biases)
  bool quantizable = false;  // a matrix that presets and the planner may re-code
};

// Weights that multiply the same input: one set of statistics serves all of them.
struct Site {
  std::string name;  // of its first reader: "blk.3.attn_q"
  int block = -1;
  int64_t width = 0;             // columns
  std::vector<int32_t> readers;  // indices into ModelDesc::tensors, in graph order
};

// Weights that can be transformed together without changing the model's function.
struct Coupling {
  enum class Kind {
    kNormReaders,    // from = norm weight; to = the matrices that read its output
    kValueOutput,    // from = v (of a fused matrix: its last rows); to = {attention output}
    kUpDown,         // from = up (fused: its last rows); to = {down}: a factor per neuron
    kTiedEmbedding,  // from = token embedding, also used as the output matrix
  } kind;
  int32_t from = -1;
  std::vector<int32_t> to;
};

// Hyper-parameters shared by the decoder-only architectures here.
struct Hparams {
  int64_t n_block = 0, n_embd = 0, n_ff = 0, n_vocab = 0, n_context = 0;
  int n_head = 0, n_head_kv = 0, head_dim = 0, value_dim = 0, rope_dims = 0;
  float norm_eps = 1e-5f;
  bool tied_output = false;
};

struct ModelDesc {
  std::string arch;  // GGUF's general.architecture: "llama"
  std::string name;  // general.name, or empty
  Hparams hparams;
  std::vector<TensorDesc> tensors;
  std::vector<Site> sites;
  std::vector<Coupling> couplings;
  Graph graph;

  int32_t find(std::string_view tensor) const;  // index, or -1
};

}  // namespace pare
