#include "model/hf_names.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "codecs/codec.h"
#include "model/arch/rope.h"

namespace pare {
namespace {

using nlohmann::json;

// Buffers that older checkpoints hold and nobody needs: causal masks, rope frequencies.
bool is_ignored(std::string_view name) {
  for (const char* suffix : {".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq"}) {
    if (name.ends_with(suffix)) return true;
  }
  return false;
}

// "layers.12.mlp.up_proj.weight" -> {"layers.{}.mlp.up_proj", "12", ".weight"}.
struct Pattern {
  std::string stem, block, suffix;
};

std::optional<Pattern> split(std::string_view name) {
  Pattern pattern;
  for (const char* suffix : {".weight", ".bias"}) {
    if (name.ends_with(suffix)) pattern.suffix = suffix;
  }
  if (pattern.suffix.empty()) return std::nullopt;
  name.remove_suffix(pattern.suffix.size());
  while (!name.empty()) {
    const size_t dot = std::min(name.find('.'), name.size());
    const std::string_view part = name.substr(0, dot);
    const bool number = part.find_first_not_of("0123456789") == std::string_view::npos;
    if (number && pattern.block.empty() && !part.empty()) {
      pattern.block = part;
      pattern.stem += "{}";
    } else {
      pattern.stem += part;
    }
    if (dot < name.size()) pattern.stem += '.';
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return pattern;
}

std::string join(std::string_view stem, const Pattern& pattern) {
  std::string name(stem);
  if (const size_t at = name.find("{}"); at != std::string::npos) {
    name.replace(at, 2, pattern.block);
  }
  return name + pattern.suffix;
}

std::string_view base_stem(const Architecture& arch, std::string_view stem) {
  // The prefix is absent from checkpoints of the bare base model.
  const std::string_view prefix = arch.hf_prefix;
  return stem.starts_with(prefix) ? stem.substr(prefix.size()) : stem;
}

struct Heads {
  int64_t q, kv;
  int64_t of(HfTransform transform) const { return transform == HfTransform::kRopeRowsQ ? q : kv; }
};

// Adds tensor `index` of `base` to `view` as `name`, changed by `transform` or by its inverse.
void add_transformed(std::string name, HfTransform transform, bool inverse, const Heads& heads,
                     const TensorInfo& base, size_t index, TransformedSource* view) {
  TensorInfo info = base;
  info.name = std::move(name);
  switch (transform) {
    case HfTransform::kNone:
      break;
    case HfTransform::kRopeRowsQ:
    case HfTransform::kRopeRowsK: {
      const int64_t n = heads.of(transform);
      return view->add(std::move(info), index, [n, inverse](const PackedTensor& in) {
        return inverse ? deinterleave_heads(in, n) : interleave_heads(in, n);
      });
    }
    case HfTransform::kAddOne: {
      const float addend = inverse ? -1.0f : 1.0f;
      info.codec = CodecId::kF32;
      return view->add(std::move(info), index,
                       [addend](const PackedTensor& in) { return add_constant(in, addend); });
    }
    case HfTransform::kTranspose:
      if (info.shape.rank() != 2) break;  // the bias
      if (!codec(info.codec).is_float()) info.codec = CodecId::kF32;
      info.shape = {info.shape[1], info.shape[0]};
      return view->add(std::move(info), index, transpose);
  }
  view->pass(std::move(info.name), index);
}

Result<bool> is_tied(const Architecture& arch, const json& config) {
  return HfConfig(config).boolean("tie_word_embeddings", arch.hf_tied_by_default);
}

}  // namespace

Result<const Architecture*> architecture_of_config(const json& config) {
  const HfConfig view(config);
  std::string found;
  if (view.has("architectures")) {
    PARE_ASSIGN_OR_RETURN(const std::vector<std::string> classes, view.strings("architectures"));
    for (const std::string& name : classes) {
      if (const Architecture* arch = find_architecture_by_hf_class(name)) return arch;
      found = name;
    }
  } else {
    PARE_ASSIGN_OR_RETURN(found, view.string("model_type", ""));
    for (const Architecture* arch : all_architectures()) {
      if (found == arch->hf_model_type) return arch;
    }
    if (found == "mistral") return find_architecture("llama");
  }
  std::string known;
  for (const Architecture* arch : all_architectures()) {
    for (const char* name : arch->hf_classes) {
      if (!known.empty()) known += ", ";
      known += name;
    }
  }
  return unsupported("config.json: architecture \"{}\" is not one of: {}", found, known);
}

Result<std::shared_ptr<const TensorSource>> canonical_view(
    const Architecture& arch, const json& config, std::shared_ptr<const TensorSource> checkpoint,
    std::string_view file) {
  gguf::Metadata metadata;
  KeyWriter keys(&metadata, arch.name);
  PARE_RETURN_IF_ERROR(arch.metadata_from_config(HfConfig(config), &keys));
  const KeyReader read(metadata, arch.name);
  Heads heads{};
  PARE_ASSIGN_OR_RETURN(heads.q, read.integer("attention.head_count"));
  PARE_ASSIGN_OR_RETURN(heads.kv, read.integer_or("attention.head_count_kv", heads.q));
  PARE_ASSIGN_OR_RETURN(const bool tied, is_tied(arch, config));

  auto view = std::make_shared<TransformedSource>(checkpoint);
  bool output = false;
  std::unordered_set<std::string> seen;  // checkpoints may hold a tensor with and without prefix
  for (size_t i = 0; i < checkpoint->tensors().size(); ++i) {
    const TensorInfo& info = checkpoint->tensors()[i];
    if (is_ignored(info.name)) continue;
    const std::optional<Pattern> pattern = split(info.name);
    const NameRule* rule = nullptr;
    if (pattern) {
      const std::string_view stem = base_stem(arch, pattern->stem);
      for (const NameRule& candidate : arch.names) {
        if (stem == candidate.hf) rule = &candidate;
      }
    }
    if (rule == nullptr) {
      return unsupported("{}: tensor {} {} has no place in architecture {}", file, info.name,
                         info.shape.to_string(), arch.name);
    }
    if (std::string_view(rule->canonical) == "output") {
      if (tied) continue;  // a copy of the embedding, which is what the runtime uses
      output = true;
    }
    std::string name = join(rule->canonical, *pattern);
    if (!seen.insert(name).second) {
      return corrupt("{}: tensor {} is there twice, with different prefixes", file, info.name);
    }
    add_transformed(std::move(name), rule->transform, false, heads, info, i, view.get());
  }
  if (!tied && !output) {
    return not_found(
        "{}: tensor lm_head.weight is missing, and config.json does not set "
        "\"tie_word_embeddings\"",
        file);
  }
  PARE_ASSIGN_OR_RETURN(RopeTensors computed, rope_tensors(HfConfig(config)));
  for (auto& [name, values] : computed) view->add_vector(name, std::move(values));
  return std::shared_ptr<const TensorSource>(std::move(view));
}

Result<HfForm> hugging_face_form(const gguf::Metadata& metadata, const ModelDesc& desc,
                                 std::shared_ptr<const TensorSource> canonical) {
  const Architecture* arch = find_architecture(desc.arch);
  PARE_CHECK(arch != nullptr, "a description of an unknown architecture");
  HfForm form;
  form.config = {{"architectures", {arch->hf_classes[0]}},
                 {"model_type", arch->hf_model_type},
                 {"vocab_size", desc.hparams.n_vocab},
                 {"tie_word_embeddings", desc.hparams.tied_output}};
  PARE_RETURN_IF_ERROR(
      arch->config_from_metadata(KeyReader(metadata, arch->name), desc, &form.config));

  const Heads heads{desc.hparams.n_head, desc.hparams.n_head_kv};
  auto view = std::make_shared<TransformedSource>(canonical);
  RopeTensors computed;
  for (size_t i = 0; i < canonical->tensors().size(); ++i) {
    const TensorInfo& info = canonical->tensors()[i];
    if (const int32_t d = desc.find(info.name);
        d >= 0 && desc.tensors[static_cast<size_t>(d)].role == Role::kRopeFactors) {
      PARE_ASSIGN_OR_RETURN(const PackedTensor packed, canonical->read(i));
      PARE_ASSIGN_OR_RETURN(const PackedTensor values, decode_to_f32(packed));
      const auto* first = reinterpret_cast<const float*>(values.bytes.data());
      computed.emplace_back(info.name, std::vector<float>(first, first + info.shape.elements()));
      continue;
    }
    const std::optional<Pattern> pattern = split(info.name);
    const NameRule* rule = nullptr;
    for (const NameRule& candidate : arch->names) {
      if (pattern && pattern->stem == candidate.canonical) rule = &candidate;
    }
    if (rule == nullptr) {
      return unsupported("tensor {} has no name in a {} checkpoint", info.name,
                         arch->hf_classes[0]);
    }
    const bool is_output = std::string_view(rule->canonical) == "output";
    std::string name = join(rule->hf, *pattern);
    if (!is_output) name.insert(0, arch->hf_prefix);
    add_transformed(std::move(name), rule->transform, true, heads, info, i, view.get());
  }
  PARE_RETURN_IF_ERROR(rope_tensors_to_config(computed, &form.config));
  form.tensors = std::move(view);
  return form;
}

}  // namespace pare
