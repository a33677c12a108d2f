#include "planner/presets.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "codecs/codec.h"
#include "planner/preset_rules.h"

namespace pare {
namespace {

using preset_rules::FactSet;
using preset_rules::Layers;
using preset_rules::Rule;

// The block of "blk.12.attn_q.weight"; -1 outside the blocks.
int block_of(std::string_view name) {
  if (!name.starts_with("blk.")) return -1;
  int block = -1;
  std::from_chars(name.data() + 4, name.data() + name.size(), block);
  return block;
}

const char* role_label(PresetRole role) {
  switch (role) {
    case PresetRole::kOutput:
      return "output";
    case PresetRole::kTokenEmbedding:
      return "token embedding";
    case PresetRole::kAttentionQ:
      return "attn_q";
    case PresetRole::kAttentionK:
      return "attn_k";
    case PresetRole::kAttentionV:
      return "attn_v";
    case PresetRole::kAttentionOutput:
      return "attn_output";
    case PresetRole::kFfnUp:
      return "ffn_up";
    case PresetRole::kFfnGate:
      return "ffn_gate";
    case PresetRole::kFfnDown:
      return "ffn_down";
    case PresetRole::kOther:
      break;
  }
  return "matrix";
}

// A tensor's place among the layers that a rule counts over.
struct Place {
  int index = 0;
  int count = 0;
};

bool applies(Layers layers, Place place) {
  const auto [i, n] = place;
  switch (layers) {
    case Layers::kAll:
      return true;
    case Layers::kFirst2:
      return i < 2;
    case Layers::kFirst4:
      return i < 4;
    case Layers::kFirst16th:
      return i < n / 16;
    case Layers::kFirst8th:
      return i < n / 8;
    case Layers::kMiddle:
      return i >= n / 8 && i < 7 * n / 8;
    case Layers::kMore:
      return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
  }
  return false;
}

// One pass over the tensors in the order in which llama-quantize meets them.
class Chooser {
 public:
  Chooser(const Preset& preset, const PresetModel& model, std::span<const PresetTensor> tensors,
          const PresetOptions& options)
      : preset_(preset), model_(model), options_(options) {
    const auto index = static_cast<unsigned>(&preset - all_presets().data());
    preset_bit_ = preset_rules::PresetSet{1} << index;
    for (const PresetTensor& tensor : tensors) {
      const PresetRole role = preset_role(tensor.name);
      if (role == PresetRole::kOutput) tied_ = false;
      if (role == PresetRole::kAttentionV) ++v_count_;
    }
    model_facts_ = facts_of_model();
  }

  Result<PresetChoice> choose(const PresetTensor& tensor) {
    PresetChoice choice{.codec = tensor.source};
    if (!tensor.forced && !preset_quantizes(tensor.name, tensor.shape)) {
      choice.why = "kept: not a matrix that file types quantize";
      return choice;
    }
    choice.quantized = true;
    pick(tensor, &choice);
    PARE_RETURN_IF_ERROR(fall_back(tensor, &choice));
    choice.needs_imatrix = needs_imatrix(tensor, choice.codec);
    return choice;
  }

 private:
  FactSet facts_of_model() const {
    const int gqa = model_.n_head_kv > 0 ? model_.n_head / model_.n_head_kv : 0;
    FactSet facts = 0;
    if (gqa >= 4) facts |= preset_rules::kGqa4;
    if (gqa >= 4 || model_.n_expert >= 4) facts |= preset_rules::kGqa4OrExperts4;
    if (model_.n_expert == 8) facts |= preset_rules::kExperts8;
    facts |= options_.has_imatrix ? preset_rules::kImatrix : preset_rules::kNoImatrix;
    facts |= model_.arch == "falcon" ? preset_rules::kFalcon : preset_rules::kNotFalcon;
    return facts;
  }

  // The file types below 3 bits have rules of their own.
  bool is_smallest() const { return (preset_bit_ & preset_rules::smallest_presets()) != 0; }

  // The classes of models whose 8 query heads share a small v matrix.
  bool is_70b_class() const {
    if (model_.arch == "llama") return model_.n_layer == 80 && model_.n_head != model_.n_head_kv;
    if (model_.arch == "jais2") return model_.n_layer == 68;
    return model_.n_layer == 80 &&
           (model_.arch == "qwen2" || model_.arch == "deci" || model_.arch == "olmo");
  }

  void pick(const PresetTensor& tensor, PresetChoice* choice) {
    const PresetRole named = preset_role(tensor.name);
    const bool is_output = named == PresetRole::kOutput;
    const bool is_embedding = named == PresetRole::kTokenEmbedding;
    const PresetRole role = is_embedding && tied_ ? PresetRole::kOutput : named;
    if (tensor.forced) return set(choice, *tensor.forced, "user: asked for this tensor");
    if (is_embedding && options_.token_embedding)
      return set(choice, *options_.token_embedding, "user: token embedding type");
    if (role == PresetRole::kOutput && options_.output && (is_output || !options_.pure))
      return set(choice, *options_.output, "user: output type");
    if (options_.pure) return set(choice, preset_.base, fmt::format("{}: pure", preset_.name));
    if (codec(preset_.base).is_float()) return set(choice, preset_.base, preset_.name);

    const Place place = place_of(tensor, role);
    const FactSet facts = facts_of(tensor);
    for (const Rule& rule : preset_rules::rule_table()) {
      const bool holds = (rule.presets & preset_bit_) != 0 &&
                         (rule.roles >> static_cast<unsigned>(role) & 1) != 0 &&
                         (rule.facts & facts) == rule.facts && applies(rule.layers, place);
      if (!holds) continue;
      set(choice, rule.codec.value_or(preset_.base), describe(rule, role, place));
      break;
    }
    if (choice->why.empty())
      set(choice, preset_.base, fmt::format("{}: {}", preset_.name, role_label(role)));
    if (role == PresetRole::kAttentionV && is_70b_class() && !is_smallest() &&
        (choice->codec == CodecId::kQ3_K || choice->codec == CodecId::kQ4_K))
      set(choice, CodecId::kQ5_K, fmt::format("{}: attn_v of the 70B class", preset_.name));
  }

  static void set(PresetChoice* choice, CodecId codec, std::string why) {
    choice->codec = codec;
    choice->why = std::move(why);
  }

  // v is counted over the v matrices. FFN matrices are counted over the layers as they come;
  // with experts, of which a layer has several tensors, by the block in the name, which the
  // smallest presets do not do.
  Place place_of(const PresetTensor& tensor, PresetRole role) {
    const bool by_block = model_.n_expert > 1 && !is_smallest();
    switch (role) {
      case PresetRole::kAttentionV:
        return {v_seen_++, v_count_};
      case PresetRole::kFfnDown:
        return ffn_place(&down_seen_, by_block, tensor.name);
      case PresetRole::kFfnGate:
        return ffn_place(&gate_seen_, by_block, tensor.name);
      case PresetRole::kFfnUp:
        return ffn_place(&up_seen_, by_block, tensor.name);
      default:
        return {};
    }
  }

  Place ffn_place(int* seen, bool by_block, std::string_view name) {
    const int counted = (*seen)++;
    return {by_block ? block_of(name) : counted, model_.n_layer};
  }

  FactSet facts_of(const PresetTensor& tensor) const {
    FactSet facts = model_facts_;
    if (!codec(preset_.base).divides(tensor.shape.columns()))
      facts |= preset_rules::kRowDoesNotDivide;
    if (tensor.shape.rank() == 3 && tensor.shape[0] > 1) facts |= preset_rules::kStack;
    return facts;
  }

  std::string describe(const Rule& rule, PresetRole role, Place place) const {
    std::string text = fmt::format("{}: {}", preset_.name, role_label(role));
    if ((rule.facts & preset_rules::kExperts8) != 0) text += " of 8 experts";
    if ((rule.facts & preset_rules::kGqa4) != 0) text += " shared by 4 or more heads";
    if ((rule.facts & preset_rules::kNoImatrix) != 0) text += " without imatrix";
    if (rule.layers != Layers::kAll)
      text += fmt::format(", layer {} of {}", place.index + 1, place.count);
    return text;
  }

  // A row that is no multiple of the block goes to the codec's stated fallback, and to F16 when
  // not even blocks of 32 fit.
  Status fall_back(const PresetTensor& tensor, PresetChoice* choice) const {
    const Codec& meant = codec(choice->codec);
    const int64_t columns = tensor.shape.columns();
    if (meant.divides(columns)) return {};
    const Codec* next = meant.fallback ? &codec(*meant.fallback) : nullptr;
    if (next == nullptr && meant.block_len > 32)
      return invalid_argument(
          "{}: {} needs rows that are a multiple of {}, found {}, and has no fallback", tensor.name,
          meant.name, meant.block_len, columns);
    if (next == nullptr || !next->divides(columns)) next = &codec(CodecId::kF16);
    choice->codec = next->id;
    choice->fell_back = true;
    choice->why += fmt::format("; rows of {} do not divide by {}: {} in place of {}", columns,
                               meant.block_len, next->name, meant.name);
    return {};
  }

  bool needs_imatrix(const PresetTensor& tensor, CodecId id) const {
    const PresetRole role = preset_role(tensor.name);
    if (role == PresetRole::kOutput || role == PresetRole::kTokenEmbedding) return false;
    switch (id) {
      case CodecId::kIQ1_S:
      case CodecId::kIQ1_M:
      case CodecId::kIQ2_XXS:
      case CodecId::kIQ2_XS:
      case CodecId::kIQ2_S:
      case CodecId::kIQ3_XXS:
        return true;
      case CodecId::kQ2_K:
        return std::string_view(preset_.name) == "Q2_K_S";
      default:
        return false;
    }
  }

  const Preset& preset_;
  const PresetModel& model_;
  const PresetOptions& options_;
  preset_rules::PresetSet preset_bit_ = 0;
  FactSet model_facts_ = 0;
  bool tied_ = true;  // until an output matrix is seen
  int v_count_ = 0, v_seen_ = 0;
  int down_seen_ = 0, gate_seen_ = 0, up_seen_ = 0;
};

}  // namespace

Result<std::vector<PresetChoice>> choose_codecs(const Preset& preset, const PresetModel& model,
                                                std::span<const PresetTensor> tensors,
                                                const PresetOptions& options) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) {
    const std::string_view x = tensors[a].name, y = tensors[b].name;
    return std::pair(block_of(x), x) < std::pair(block_of(y), y);
  });
  std::vector<PresetChoice> choices(tensors.size());
  Chooser chooser(preset, model, tensors, options);
  for (size_t i : order) {
    PARE_ASSIGN_OR_RETURN(choices[i], chooser.choose(tensors[i]));
  }
  return choices;
}

}  // namespace pare
