// Presets: the file types that llama-quantize knows, as plan generators.
//
// A preset has a base codec and a mixture: an ordered table of rules (preset_rules_data.cpp)
// that gives some tensors another codec by role, layer and facts about the model. What comes
// out equals what llama-quantize writes for the same tensors, line by line, except that a
// choice the user made is never dropped. Pure functions; thread safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/codec_id.h"
#include "tensor/shape.h"

namespace pare {

struct Preset {
  const char* name;  // as the field writes it: "Q4_K_M"
  int file_type;     // general.file_type
  CodecId base;      // what tensors without a rule get
};

std::span<const Preset> all_presets();
// By name, any case; "Q3_K", "Q4_K" and "Q5_K" mean the _M ones, as in llama-quantize. Null:
// there is no such preset.
const Preset* find_preset(std::string_view name);

// The classes of tensors that mixtures tell apart, found from the GGUF name.
enum class PresetRole : uint8_t {
  kOther,
  kOutput,
  kTokenEmbedding,
  kAttentionQ,
  kAttentionK,
  kAttentionV,  // also fused qkv and kv_b, which hold v
  kAttentionOutput,
  kFfnUp,
  kFfnGate,
  kFfnDown,
};
PresetRole preset_role(std::string_view name);
// True for the tensors that file types re-code: matrices named "...weight", except norms,
// routers, positions and some small tensors that are worth more than their bytes.
bool preset_quantizes(std::string_view name, const Shape& shape);

struct PresetTensor {
  std::string name;                // GGUF name: "blk.3.attn_q.weight"
  Shape shape;                     // slowest extent first
  CodecId source = CodecId::kF32;  // what a tensor that is not quantized keeps
  std::optional<CodecId> forced;   // the user's choice for this tensor
};

struct PresetModel {
  std::string arch;  // general.architecture
  int n_layer = 0;
  int n_head = 0;     // of the first block; 0 where it has no attention
  int n_head_kv = 0;  // of the first block
  int n_expert = 0;
};

struct PresetOptions {
  bool has_imatrix = false;
  bool pure = false;                       // the base codec everywhere
  std::optional<CodecId> output;           // for output.weight (or the tied embedding)
  std::optional<CodecId> token_embedding;  // for token_embd.weight
};

struct PresetChoice {
  CodecId codec = CodecId::kF32;
  bool quantized = false;      // false: the tensor keeps its source form
  bool fell_back = false;      // its row did not divide by the block of the codec meant
  bool needs_imatrix = false;  // so few bits that llama-quantize refuses without an imatrix
  std::string why;             // "Q4_K_M: attn_v, more bits in layer 3 of 30"
};

// One choice per tensor, in the order given. Errors: kInvalidArgument when a row does not
// divide by the block of its codec and there is nothing to fall back to.
Result<std::vector<PresetChoice>> choose_codecs(const Preset& preset, const PresetModel& model,
                                                std::span<const PresetTensor> tensors,
                                                const PresetOptions& options);

}  // namespace pare
