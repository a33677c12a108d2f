#include "cli/plan_options.h"

#include <fmt/format.h>

#include <map>
#include <regex>
#include <sstream>

#include "base/file.h"
#include "codecs/codec.h"
#include "planner/presets.h"

namespace pare::cli {
namespace {

struct Rule {
  std::string text, pattern;
  std::regex expression;
  CodecId codec;
  bool used = false;
};

Result<CodecId> writable_codec(const std::string& name, std::string_view option) {
  const Codec* found = find_codec(name);
  if (found == nullptr) return invalid_argument("{}: there is no type \"{}\"", option, name);
  if (found->encode_row == nullptr || found->gguf_type < 0) {
    return unsupported("{}: {} can be read, not written", option, found->name);
  }
  return found->id;
}

Result<Rule> parse_rule(const std::string& text, std::string_view where) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    return invalid_argument("{}: \"{}\" is not REGEX=TYPE", where, text);
  }
  Rule rule;
  rule.text = text;
  rule.pattern = text.substr(0, equals);
  PARE_ASSIGN_OR_RETURN(rule.codec, writable_codec(text.substr(equals + 1), where));
  try {
    rule.expression = std::regex(rule.pattern, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error& e) {
    return invalid_argument("{}: \"{}\" is not a regular expression: {}", where, rule.pattern,
                            e.what());
  }
  return rule;
}

Result<std::vector<Rule>> parse_rules(const PlanOptions& options) {
  std::vector<Rule> rules;
  for (const std::string& text : options.tensor_types) {
    PARE_ASSIGN_OR_RETURN(Rule rule, parse_rule(text, "--tensor-type"));
    rules.push_back(std::move(rule));
  }
  if (options.recipe.empty()) return rules;
  PARE_ASSIGN_OR_RETURN(const std::string text, read_text(options.recipe, uint64_t{16} << 20));
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    line.erase(std::min(line.find('#'), line.size()));
    line.erase(0, std::min(line.find_first_not_of(" \t\r"), line.size()));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (line.empty()) continue;
    PARE_ASSIGN_OR_RETURN(Rule rule,
                          parse_rule(line, fmt::format("{}:{}", options.recipe, number)));
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

void add_plan_options(CLI::App& app, PlanOptions& options, bool presets) {
  app.add_option("--tensor-type", options.tensor_types,
                 "REGEX=TYPE: a type for the matrices whose names match; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--recipe", options.recipe, "File with one REGEX=TYPE per line (# comments)");
  if (!presets) return;
  app.add_option("--type", options.type, "Preset or type: Q4_K_M, Q8_0, IQ4_XS, F16, ...")
      ->required();
  app.add_option("--output-type", options.output_type, "Type of the output matrix");
  app.add_option("--token-embedding-type", options.embedding_type, "Type of the token embedding");
  app.add_flag("--pure", options.pure, "The preset's base type for every matrix");
}

Result<std::vector<std::optional<CodecId>>> user_choices(const PlanOptions& options,
                                                         const Model& model) {
  PARE_ASSIGN_OR_RETURN(std::vector<Rule> rules, parse_rules(options));
  std::vector<std::optional<CodecId>> choices;
  for (const TensorInfo& t : model.tensors->tensors()) {
    std::optional<CodecId> choice;
    if (t.shape.rank() < 2) {  // vectors stay F32, as every runtime wants them
      choices.push_back(choice);
      continue;
    }
    for (Rule& rule : rules) {
      if (!std::regex_search(t.name, rule.expression)) continue;
      rule.used = true;
      choice = rule.codec;
      break;
    }
    if (choice && !codec(*choice).divides(t.shape.columns())) {
      return invalid_argument("{}: rows of {} columns do not divide into blocks of {} ({})", t.name,
                              t.shape.columns(), codec(*choice).block_len, codec(*choice).name);
    }
    choices.push_back(choice);
  }
  for (const Rule& rule : rules) {
    if (!rule.used) {
      return invalid_argument("\"{}\" matches no matrix of {}, or earlier rules match all it does",
                              rule.text, model.path);
    }
  }
  return choices;
}

Result<Plan> preset_plan(const Model& model, const PlanOptions& options, bool has_imatrix,
                         Progress& progress) {
  const Preset* preset = find_preset(options.type);
  if (preset == nullptr) {
    std::string names;
    for (const Preset& p : all_presets()) names += std::string(names.empty() ? "" : ", ") + p.name;
    return invalid_argument("--type: there is no preset \"{}\"; there are {}", options.type, names);
  }
  PARE_ASSIGN_OR_RETURN(const auto forced, user_choices(options, model));
  const auto tensors = model.tensors->tensors();
  std::vector<PresetTensor> preset_tensors;
  for (size_t i = 0; i < tensors.size(); ++i) {
    preset_tensors.push_back({tensors[i].name, tensors[i].shape, tensors[i].codec, forced[i]});
  }
  PresetOptions preset_options{.has_imatrix = has_imatrix, .pure = options.pure};
  if (!options.output_type.empty()) {
    PARE_ASSIGN_OR_RETURN(preset_options.output,
                          writable_codec(options.output_type, "--output-type"));
  }
  if (!options.embedding_type.empty()) {
    PARE_ASSIGN_OR_RETURN(preset_options.token_embedding,
                          writable_codec(options.embedding_type, "--token-embedding-type"));
  }
  const Hparams& h = model.desc.hparams;
  PARE_ASSIGN_OR_RETURN(const uint32_t experts,
                        model.metadata.get_u32(model.desc.arch + ".expert_count", 0));
  const PresetModel facts{.arch = model.desc.arch,
                          .n_layer = static_cast<int>(h.n_block),
                          .n_head = h.n_head,
                          .n_head_kv = h.n_head_kv,
                          .n_expert = static_cast<int>(experts)};
  PARE_ASSIGN_OR_RETURN(const auto choices,
                        choose_codecs(*preset, facts, preset_tensors, preset_options));
  Plan plan;
  plan.source = model.path;
  plan.source_hash = source_fingerprint(model);
  plan.label = preset->name;
  plan.file_type = preset->file_type;
  std::map<std::string, size_t> fallbacks;
  for (size_t i = 0; i < tensors.size(); ++i) {
    TensorPlan t{tensors[i].name, choices[i].codec, Method::kRtn, choices[i].why};
    if (!choices[i].quantized && tensors[i].shape.rank() < 2) t.codec = CodecId::kF32;
    if (t.codec == tensors[i].codec) {
      t.method = Method::kKeep;
    } else if (codec(t.codec).encode_row == nullptr) {
      return unsupported("{}: preset {} asks for {}, which can be read, not written", t.name,
                         preset->name, codec(t.codec).name);
    }
    if (choices[i].needs_imatrix && !has_imatrix) {
      progress.note(fmt::format("warning: {} at {} without --imatrix will be poor", t.name,
                                codec(t.codec).name));
    }
    if (choices[i].fell_back) {
      ++fallbacks[fmt::format("rows of {} columns do not divide by 256: {} instead",
                              tensors[i].shape.columns(), codec(t.codec).name)];
    }
    plan.tensors.push_back(std::move(t));
  }
  for (const auto& [what, count] : fallbacks) {
    progress.note(fmt::format("note: {} in {} tensors", what, count));
  }
  PARE_ASSIGN_OR_RETURN(plan.file_bytes, plan_file_bytes(plan, model));
  return plan;
}

}  // namespace pare::cli
