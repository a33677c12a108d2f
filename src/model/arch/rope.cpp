#include "model/arch/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace pare {
namespace {

using nlohmann::json;

// Where a config.json says what of its rope. transformers 4 has "rope_theta" and "rope_scaling"
// side by side, 5 has both in "rope_parameters", per kind of attention if there are two.
struct HfRope {
  HfConfig settings;  // of full attention
  std::string type;   // "default", "linear", ...
  std::optional<double> theta;
  std::optional<double> local_theta;
};

Result<HfRope> find_rope(const HfConfig& config) {
  static const json kEmpty = json::object();
  PARE_ASSIGN_OR_RETURN(std::optional<HfConfig> settings, config.object("rope_parameters"));
  if (!settings) {
    PARE_ASSIGN_OR_RETURN(settings, config.object("rope_scaling"));
  }
  HfRope rope{settings.value_or(HfConfig(kEmpty)), "default", {}, {}};
  PARE_ASSIGN_OR_RETURN(std::optional<HfConfig> full, rope.settings.object("full_attention"));
  PARE_ASSIGN_OR_RETURN(std::optional<HfConfig> local, rope.settings.object("sliding_attention"));
  const HfConfig& main = full ? *full : rope.settings;
  if (main.has("rope_theta")) {
    PARE_ASSIGN_OR_RETURN(rope.theta, main.number("rope_theta"));
  } else if (config.has("rope_theta")) {
    PARE_ASSIGN_OR_RETURN(rope.theta, config.number("rope_theta"));
  }
  if (local && local->has("rope_theta")) {
    PARE_ASSIGN_OR_RETURN(rope.local_theta, local->number("rope_theta"));
  } else if (config.has("rope_local_base_freq")) {
    PARE_ASSIGN_OR_RETURN(rope.local_theta, config.number("rope_local_base_freq"));
  }
  PARE_ASSIGN_OR_RETURN(rope.type, main.string("rope_type", ""));
  if (rope.type.empty()) {
    PARE_ASSIGN_OR_RETURN(rope.type, main.string("type", "default"));
  }
  return HfRope{main, rope.type, rope.theta, rope.local_theta};
}

Result<int64_t> head_dim(const HfConfig& config) {
  PARE_ASSIGN_OR_RETURN(const int64_t width, config.integer({"hidden_size"}));
  PARE_ASSIGN_OR_RETURN(const int64_t heads, config.integer({"num_attention_heads"}));
  return config.integer({"head_dim"}, std::max<int64_t>(1, width / heads));
}

// Llama 3.1's rule: frequencies whose wave length is long against the original context are
// divided by `factor`, short ones are kept, and between the two the divisor is blended.
struct Llama3Scaling {
  double factor = 8.0, low = 1.0, high = 4.0, original_context = 8192.0;

  std::vector<float> divisors(double theta, int64_t dims) const {
    std::vector<float> result;
    for (int64_t i = 0; i < dims; i += 2) {
      const double exponent = static_cast<double>(i) / static_cast<double>(dims);
      const double wave = 2.0 * std::numbers::pi * std::pow(theta, exponent);
      double divisor = 1.0;
      if (wave > original_context / low) {
        divisor = factor;
      } else if (wave >= original_context / high) {
        const double smooth = (original_context / wave - low) / (high - low);
        divisor = 1.0 / ((1.0 - smooth) / factor + smooth);
      }
      result.push_back(static_cast<float>(divisor));
    }
    return result;
  }
};

Result<std::vector<float>> llama3_divisors(const HfConfig& config, const HfRope& rope) {
  PARE_ASSIGN_OR_RETURN(const int64_t dims, head_dim(config));
  Llama3Scaling scaling;
  PARE_ASSIGN_OR_RETURN(scaling.factor, rope.settings.number("factor", scaling.factor));
  PARE_ASSIGN_OR_RETURN(scaling.low, rope.settings.number("low_freq_factor", scaling.low));
  PARE_ASSIGN_OR_RETURN(scaling.high, rope.settings.number("high_freq_factor", scaling.high));
  PARE_ASSIGN_OR_RETURN(
      scaling.original_context,
      rope.settings.number("original_max_position_embeddings", scaling.original_context));
  if (!(scaling.low > 0 && scaling.low < scaling.high && scaling.factor > 0)) {
    return invalid_argument(
        "config.json: llama3 rope scaling needs 0 < low_freq_factor < high_freq_factor and a "
        "positive factor, found {}, {}, {}",
        scaling.low, scaling.high, scaling.factor);
  }
  return scaling.divisors(rope.theta.value_or(10000.0), dims);
}

bool is_longrope(const std::string& type) { return type == "longrope" || type == "su"; }

// LongRoPE stretches the original context to the trained one; both in config.json's numbers.
Result<int64_t> original_context(const HfConfig& config, const HfRope& rope) {
  PARE_ASSIGN_OR_RETURN(const int64_t context, config.integer({"max_position_embeddings"}));
  PARE_ASSIGN_OR_RETURN(const int64_t top,
                        config.integer({"original_max_position_embeddings"}, context));
  return rope.settings.integer({"original_max_position_embeddings"}, top);
}

double longrope_attention_factor(double stretch, double original) {
  return stretch <= 1.0 ? 1.0 : std::sqrt(1.0 + std::log(stretch) / std::log(original));
}

}  // namespace

Status write_rope_keys(const HfConfig& config, KeyWriter* keys) {
  PARE_ASSIGN_OR_RETURN(const HfRope rope, find_rope(config));
  const HfConfig& settings = rope.settings;
  if (rope.type == "linear" || rope.type == "yarn") {
    keys->string("rope.scaling.type", rope.type);
    PARE_ASSIGN_OR_RETURN(const double factor, settings.number("factor"));
    keys->real("rope.scaling.factor", factor);
  }
  if (rope.type == "yarn") {
    PARE_ASSIGN_OR_RETURN(const int64_t original, original_context(config, rope));
    keys->integer("rope.scaling.original_context_length", original);
    static constexpr std::pair<const char*, const char*> kOptional[] = {
        {"extrapolation_factor", "rope.scaling.yarn_ext_factor"},
        {"attention_factor", "rope.scaling.yarn_attn_factor"},
        {"beta_fast", "rope.scaling.yarn_beta_fast"},
        {"beta_slow", "rope.scaling.yarn_beta_slow"}};
    for (const auto& [from, to] : kOptional) {
      if (!settings.has(from)) continue;
      PARE_ASSIGN_OR_RETURN(const double value, settings.number(from));
      keys->real(to, value);
    }
    if (settings.has("mscale_all_dim")) {
      return unsupported("config.json: \"mscale_all_dim\" in yarn rope scaling");
    }
  } else if (is_longrope(rope.type)) {
    keys->string("rope.scaling.type", "longrope");
    PARE_ASSIGN_OR_RETURN(const int64_t context, config.integer({"max_position_embeddings"}));
    PARE_ASSIGN_OR_RETURN(const int64_t original, original_context(config, rope));
    keys->integer("rope.scaling.original_context_length", original);
    const double stretch = static_cast<double>(context) / static_cast<double>(original);
    PARE_ASSIGN_OR_RETURN(
        const double attention,
        settings.number("attention_factor",
                        longrope_attention_factor(stretch, static_cast<double>(original))));
    keys->real("rope.scaling.attn_factor", attention);
  } else if (rope.type != "default" && rope.type != "llama3" && rope.type != "linear" &&
             rope.type != "dynamic") {
    // "dynamic" changes nothing until the trained context is exceeded, which pare never does.
    return unsupported("config.json: rope scaling \"{}\"", rope.type);
  }
  if (rope.theta) keys->real("rope.freq_base", *rope.theta);
  if (rope.local_theta) keys->real("rope.freq_base_swa", *rope.local_theta);
  return {};
}

Result<RopeTensors> rope_tensors(const HfConfig& config) {
  PARE_ASSIGN_OR_RETURN(const HfRope rope, find_rope(config));
  RopeTensors tensors;
  if (rope.type == "llama3") {
    PARE_ASSIGN_OR_RETURN(std::vector<float> divisors, llama3_divisors(config, rope));
    tensors.emplace_back("rope_freqs.weight", std::move(divisors));
  } else if (is_longrope(rope.type)) {
    for (const char* which : {"long", "short"}) {
      PARE_ASSIGN_OR_RETURN(const std::vector<double> factors,
                            rope.settings.numbers((std::string(which) + "_factor").c_str()));
      tensors.emplace_back(fmt::format("rope_factors_{}.weight", which),
                           std::vector<float>(factors.begin(), factors.end()));
    }
  }
  return tensors;
}

Result<RopeParams> read_rope(const KeyReader& keys, RopeLayout layout, GraphBuilder* graph) {
  const Hparams& h = graph->hparams();
  RopeParams rope;
  rope.layout = layout;
  rope.dims = h.rope_dims;
  PARE_ASSIGN_OR_RETURN(rope.base, keys.real_or("rope.freq_base", 10000.0f));
  // Files without a type but with a factor mean "linear"; very old ones call it scale_linear.
  PARE_ASSIGN_OR_RETURN(const std::string type, keys.string_or("rope.scaling.type", "linear"));
  PARE_ASSIGN_OR_RETURN(const float old_factor, keys.real_or("rope.scale_linear", 1.0f));
  PARE_ASSIGN_OR_RETURN(rope.factor, keys.real_or("rope.scaling.factor", old_factor));
  PARE_ASSIGN_OR_RETURN(rope.attention_factor, keys.real_or("rope.scaling.attn_factor", 1.0f));
  PARE_ASSIGN_OR_RETURN(
      rope.original_context,
      keys.integer_or("rope.scaling.original_context_length", h.n_context, 1, int64_t{1} << 31));
  if (rope.factor == 0.0f) rope.factor = 1.0f;  // how some files say that there is none
  if (!(rope.base > 0.0f) || !(rope.factor > 0.0f)) {
    return corrupt("metadata: rope with base {} and scaling factor {}, expected positive numbers",
                   rope.base, rope.factor);
  }
  const Shape per_frequency{rope.dims / 2};
  if (type == "linear") {
    if (rope.factor != 1.0f) rope.scaling = RopeParams::Scaling::kLinear;
  } else if (type == "yarn") {
    rope.scaling = RopeParams::Scaling::kYarn;
    PARE_ASSIGN_OR_RETURN(
        const float mscale,
        keys.real_or("rope.scaling.yarn_attn_factor",
                     rope.factor > 1.0f ? 0.1f * std::log(rope.factor) + 1.0f : 1.0f));
    rope.attention_factor *= mscale;
    PARE_ASSIGN_OR_RETURN(rope.beta_fast, keys.real_or("rope.scaling.yarn_beta_fast", 32.0f));
    PARE_ASSIGN_OR_RETURN(rope.beta_slow, keys.real_or("rope.scaling.yarn_beta_slow", 1.0f));
    PARE_ASSIGN_OR_RETURN(const float mix, keys.real_or("rope.scaling.yarn_ext_factor", 1.0f));
    if (mix != 1.0f) return unsupported("metadata: yarn with an extrapolation factor of {}", mix);
    if (!(rope.beta_fast > 0.0f) || !(rope.beta_slow > 0.0f)) {
      return corrupt("metadata: yarn with betas {} and {}, expected positive numbers",
                     rope.beta_fast, rope.beta_slow);
    }
  } else if (type == "longrope") {
    rope.scaling = RopeParams::Scaling::kLongRope;
    rope.factor = 1.0f;
    rope.long_factors =
        graph->optional_tensor("rope_factors_long.weight", Role::kRopeFactors, per_frequency);
    rope.factors =
        graph->optional_tensor("rope_factors_short.weight", Role::kRopeFactors, per_frequency);
    if (rope.factors < 0 || rope.long_factors < 0) {
      return not_found(
          "longrope needs tensors rope_factors_long.weight and "
          "rope_factors_short.weight");
    }
  } else if (type == "none") {
    rope.factor = 1.0f;
  } else {
    return unsupported("metadata: {} is \"{}\"", keys.key("rope.scaling.type"), type);
  }
  if (rope.factors < 0) {
    rope.factors = graph->optional_tensor("rope_freqs.weight", Role::kRopeFactors, per_frequency);
  }
  return rope;
}

Result<RopeParams> read_local_rope(const KeyReader& keys, const RopeParams& global) {
  RopeParams rope;
  rope.layout = global.layout;
  rope.dims = global.dims;
  PARE_ASSIGN_OR_RETURN(rope.base, keys.real_or("rope.freq_base_swa", 10000.0f));
  if (!(rope.base > 0.0f)) {
    return corrupt("metadata: {} is {}, expected a positive number", keys.key("rope.freq_base_swa"),
                   rope.base);
  }
  return rope;
}

Status rope_to_config(const KeyReader& keys, json* config) {
  PARE_ASSIGN_OR_RETURN(const float base, keys.real_or("rope.freq_base", 10000.0f));
  (*config)["rope_theta"] = json_float(base);
  if (keys.has("rope.freq_base_swa")) {
    PARE_ASSIGN_OR_RETURN(const float local, keys.real("rope.freq_base_swa"));
    (*config)["rope_local_base_freq"] = json_float(local);
  }
  PARE_ASSIGN_OR_RETURN(const std::string type, keys.string_or("rope.scaling.type", "linear"));
  PARE_ASSIGN_OR_RETURN(const float factor, keys.real_or("rope.scaling.factor", 1.0f));
  if (type == "none" || (type == "linear" && (factor == 1.0f || factor == 0.0f))) return {};
  json scaling = {{"rope_type", type}};
  if (type != "longrope") scaling["factor"] = json_float(factor);
  if (keys.has("rope.scaling.original_context_length")) {
    PARE_ASSIGN_OR_RETURN(
        const int64_t original,
        keys.integer("rope.scaling.original_context_length", 1, int64_t{1} << 31));
    scaling["original_max_position_embeddings"] = original;
  }
  static constexpr std::pair<const char*, const char*> kYarn[] = {
      {"rope.scaling.yarn_attn_factor", "attention_factor"},
      {"rope.scaling.yarn_beta_fast", "beta_fast"},
      {"rope.scaling.yarn_beta_slow", "beta_slow"}};
  for (const auto& [from, to] : kYarn) {
    if (!keys.has(from)) continue;
    PARE_ASSIGN_OR_RETURN(const float value, keys.real(from));
    scaling[to] = json_float(value);
  }
  (*config)["rope_scaling"] = std::move(scaling);
  return {};
}

Status rope_tensors_to_config(const RopeTensors& tensors, json* config) {
  for (const auto& [name, values] : tensors) {
    if (name == "rope_freqs.weight") {
      const auto largest = std::max_element(values.begin(), values.end());
      if (largest == values.end()) return corrupt("tensor {} is empty", name);
      Llama3Scaling scaling;
      scaling.factor = *largest;
      const double theta = config->value("rope_theta", 10000.0);
      const std::vector<float> expected =
          scaling.divisors(theta, static_cast<int64_t>(values.size()) * 2);
      const bool same =
          std::equal(values.begin(), values.end(), expected.begin(),
                     [](float a, float b) { return std::abs(a - b) <= 1e-4f * std::abs(b); });
      if (!same) {
        return unsupported(
            "tensor {}: its divisors are not those of Llama 3 (low 1, high 4, context 8192), and "
            "config.json has no other way to write them",
            name);
      }
      (*config)["rope_scaling"] = {{"rope_type", "llama3"},
                                   {"factor", json_float(*largest)},
                                   {"low_freq_factor", 1.0},
                                   {"high_freq_factor", 4.0},
                                   {"original_max_position_embeddings", 8192}};
    } else {
      json list = json::array();
      for (float value : values) list.push_back(json_float(value));
      const char* which = name == "rope_factors_long.weight" ? "long_factor" : "short_factor";
      (*config)["rope_scaling"][which] = std::move(list);
    }
  }
  return {};
}

}  // namespace pare
