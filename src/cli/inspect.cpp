#include <fmt/format.h>

#include <map>

#include "cli/any_model.h"
#include "cli/device.h"
#include "cli/verb.h"
#include "codecs/codec.h"
#include "kernels/cpu.h"
#include "kernels/list.h"

namespace pare::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Args {
  Common common;
  std::string model;
  bool tensors = true;
  bool metadata = false;
  bool devices = false;
};

struct Use {
  size_t tensors = 0;
  uint64_t weights = 0, bytes = 0;
};

double bits_per_weight(uint64_t bytes, uint64_t weights) {
  return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

struct Totals {
  Use all;
  std::map<std::string, Use> types;

  explicit Totals(const AnyModel& model) {
    const auto tensors = model.tensors->tensors();
    for (size_t i = 0; i < tensors.size(); ++i) {
      for (Use* use : {&all, &types[type_name(model, i)]}) {
        ++use->tensors;
        use->weights += static_cast<uint64_t>(tensors[i].shape.elements());
        use->bytes += tensors[i].bytes;
      }
    }
  }
};

// The text of a key, or "" where there is none.
std::string text_of(const gguf::Metadata& metadata, std::string_view key) {
  const gguf::Value* value = metadata.find(key);
  return value != nullptr && value->string() != nullptr ? *value->string() : "";
}

// What the tokenizer keys say, read without building the tokenizer, so that vocabularies which
// this build cannot run are shown as well.
struct TokenizerFacts {
  std::string model, pre;
  size_t vocabulary = 0;
  bool has_chat_template = false;
  struct Special {
    std::string name;
    uint64_t id;
    std::string text;
  };
  std::vector<Special> special;

  explicit TokenizerFacts(const gguf::Metadata& metadata) {
    model = text_of(metadata, "tokenizer.ggml.model");
    pre = text_of(metadata, "tokenizer.ggml.pre");
    const auto* tokens_value = metadata.find("tokenizer.ggml.tokens");
    const gguf::Array* tokens = tokens_value ? tokens_value->array() : nullptr;
    if (tokens != nullptr) vocabulary = tokens->size();
    has_chat_template = metadata.contains("tokenizer.chat_template");
    constexpr std::string_view kPrefix = "tokenizer.ggml.", kSuffix = "_token_id";
    for (const auto& [key, value] : metadata) {
      const auto id = value.number<uint64_t>();
      if (!key.starts_with(kPrefix) || !key.ends_with(kSuffix) || !id) continue;
      const std::string name =
          key.substr(kPrefix.size(), key.size() - kPrefix.size() - kSuffix.size());
      std::string text;
      if (tokens != nullptr && tokens->is_string() && *id < tokens->size()) {
        text = tokens->string(*id);
      }
      special.push_back({name, *id, std::move(text)});
    }
  }
};

// Hyper-parameters by name, in the order in which people ask for them.
std::vector<std::pair<const char*, int64_t>> hyper_parameters(const Hparams& h) {
  return {{"blocks", h.n_block},     {"embedding", h.n_embd},   {"ffn", h.n_ff},
          {"heads", h.n_head},       {"kv_heads", h.n_head_kv}, {"head_size", h.head_dim},
          {"vocabulary", h.n_vocab}, {"context", h.n_context}};
}

std::string architecture(const AnyModel& model) {
  return model.desc ? model.desc->arch : text_of(model.metadata, "general.architecture");
}

void print_json_form(const AnyModel& model, const Args& args) {
  const Totals totals(model);
  Json out = {{"path", model.path},
              {"form", model.form},
              {"architecture", architecture(model)},
              {"known", model.desc.has_value()}};
  if (!model.problem.empty()) out["problem"] = model.problem;
  if (model.gguf_version != 0) out["gguf_version"] = model.gguf_version;
  if (model.desc) {
    out["name"] = model.desc->name;
    Json& parameters = out["hyper_parameters"];
    for (const auto& [name, value] : hyper_parameters(model.desc->hparams)) {
      parameters[name] = value;
    }
    parameters["norm_eps"] = model.desc->hparams.norm_eps;
    parameters["tied_output"] = model.desc->hparams.tied_output;
  }
  const TokenizerFacts tokenizer(model.metadata);
  if (!tokenizer.model.empty()) {
    Json special = Json::object();
    for (const auto& token : tokenizer.special) {
      special[token.name] = {{"id", token.id}, {"text", token.text}};
    }
    out["tokenizer"] = {{"model", tokenizer.model},
                        {"pre", tokenizer.pre},
                        {"vocabulary", tokenizer.vocabulary},
                        {"special", std::move(special)},
                        {"chat_template", tokenizer.has_chat_template}};
  }
  if (args.metadata || !model.desc) {
    Json& metadata = out["metadata"] = Json::object();
    for (const auto& [key, value] : model.metadata) metadata[key] = value.to_string();
  }
  Json& types = out["types"] = Json::array();
  for (const auto& [name, use] : totals.types) {
    types.push_back({{"type", name},
                     {"tensors", use.tensors},
                     {"weights", use.weights},
                     {"bytes", use.bytes},
                     {"bits_per_weight", bits_per_weight(use.bytes, use.weights)}});
  }
  out["weights"] = totals.all.weights;
  out["tensor_bytes"] = totals.all.bytes;
  out["file_bytes"] = model.file_bytes;
  out["files"] = model.files;
  out["bits_per_weight"] = bits_per_weight(totals.all.bytes, totals.all.weights);
  out["file_bits_per_weight"] = bits_per_weight(model.file_bytes, totals.all.weights);
  if (args.tensors) {
    Json& list = out["tensors"] = Json::array();
    const auto tensors = model.tensors->tensors();
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto weights = static_cast<uint64_t>(tensors[i].shape.elements());
      list.push_back({{"name", tensors[i].name},
                      {"type", type_name(model, i)},
                      {"shape", tensors[i].shape.dims()},
                      {"bytes", tensors[i].bytes},
                      {"bits_per_weight", bits_per_weight(tensors[i].bytes, weights)}});
    }
  }
  print_json(out);
}

void print_head(const AnyModel& model, const Args& args) {
  const std::string arch = architecture(model);
  std::string form = model.form;
  if (model.gguf_version != 0) form += fmt::format(" v{}", model.gguf_version);
  if (model.files > 1) form += fmt::format(", {} files", model.files);
  fmt::print("{} ({})\n", model.path, form);
  if (!model.problem.empty()) fmt::print("note: {}\n", printable(model.problem));
  if (model.desc) {
    std::string line = fmt::format("architecture  {}", arch);
    if (!model.desc->name.empty()) line += fmt::format(" \"{}\"", model.desc->name);
    fmt::print("{}\n", printable(line));
    line.clear();
    for (const auto& [name, value] : hyper_parameters(model.desc->hparams)) {
      line += fmt::format("{}{} {}", line.empty() ? "" : ", ", name, value);
    }
    fmt::print("              {}{}\n", line,
               model.desc->hparams.tied_output ? ", tied output" : "");
  } else {
    fmt::print("architecture  {} (shown as it stands in the file)\n",
               arch.empty() ? "not said" : printable(arch));
  }
  const TokenizerFacts tokenizer(model.metadata);
  if (tokenizer.model.empty()) {
    fmt::print("tokenizer     none\n");
  } else {
    fmt::print("tokenizer     {}{}, {} tokens{}\n", printable(tokenizer.model),
               tokenizer.pre.empty() ? "" : " (" + printable(tokenizer.pre) + ")",
               tokenizer.vocabulary, tokenizer.has_chat_template ? ", chat template" : "");
    std::string line;
    for (const auto& token : tokenizer.special) {
      line += fmt::format("{}{} {} {}", line.empty() ? "" : ", ", token.name, token.id, token.text);
    }
    if (!line.empty()) fmt::print("              {}\n", printable(line));
  }
  if (args.metadata || !model.desc) {
    for (const auto& [key, value] : model.metadata) {
      fmt::print("  {} = {}\n", printable(key), printable(value.to_string()));
    }
  }
}

void print_text(const AnyModel& model, const Args& args) {
  print_head(model, args);
  if (args.tensors) {
    Table table({"tensor", "type", "shape", "bytes", "bits/weight"});
    const auto tensors = model.tensors->tensors();
    for (size_t i = 0; i < tensors.size(); ++i) {
      const auto weights = static_cast<uint64_t>(tensors[i].shape.elements());
      table.add({tensors[i].name, type_name(model, i), tensors[i].shape.to_string(),
                 fmt::format("{}", tensors[i].bytes),
                 fmt::format("{:.3f}", bits_per_weight(tensors[i].bytes, weights))});
    }
    fmt::print("\n{}", table.to_string());
  }
  const Totals totals(model);
  Table table({"type", "tensors", "weights", "size", "bits/weight"});
  const auto add = [&](const std::string& name, const Use& use) {
    table.add({name, fmt::format("{}", use.tensors), fmt::format("{}", use.weights),
               format_bytes(use.bytes),
               fmt::format("{:.3f}", bits_per_weight(use.bytes, use.weights))});
  };
  for (const auto& [name, use] : totals.types) add(name, use);
  add("all", totals.all);
  fmt::print("\n{}\n{} bytes on disk ({}), {:.3f} bits/weight with all that is in {}\n",
             table.to_string(), model.file_bytes, format_bytes(model.file_bytes),
             bits_per_weight(model.file_bytes, totals.all.weights),
             model.files == 1 ? "the file" : "the files");
}

// Which devices this machine has, and which kernels its CPU multiplies each type with.
void print_devices(bool json) {
  const CpuLevel level = cpu_level();
  nlohmann::ordered_json kernels = nlohmann::ordered_json::object();
  Table table({"type", "kernel"});
  for (const Codec& c : all_codecs()) {
    if (select_kernel(level, c.id).core == nullptr) continue;
    const std::string kernel = describe_kernel(level, c.id);
    kernels[c.name] = kernel;
    table.add({c.name, kernel});
  }
  std::vector<std::string> levels;
  for (CpuLevel known : cpu_levels()) levels.emplace_back(cpu_level_name(known));
  const Result<std::vector<DeviceInfo>> devices = find_devices();
  Json gpus = Json::array();
  std::string lines;
  for (const DeviceInfo& d : devices.ok() ? *devices : std::vector<DeviceInfo>()) {
    gpus.push_back({{"device", fmt::format("cuda:{}", d.index)},
                    {"name", d.name},
                    {"memory_bytes", d.memory},
                    {"free_bytes", d.free_memory},
                    {"capability", fmt::format("{}.{}", d.major, d.minor)},
                    {"driver", d.driver}});
    lines += fmt::format("cuda:{}  {}, {} of {} free, capability {}.{}, driver for {}\n", d.index,
                         d.name, format_bytes(d.free_memory), format_bytes(d.memory), d.major,
                         d.minor, d.driver);
  }
  if (!devices.ok()) lines = fmt::format("no GPU: {}\n", devices.status().message());
  if (json) {
    Json out = {
        {"level", cpu_level_name(level)}, {"levels", levels}, {"kernels", kernels}, {"gpus", gpus}};
    if (!devices.ok()) out["no_gpu"] = devices.status().message();
    print_json(out);
  } else {
    fmt::print("{}cpu     level {} (this CPU runs {}; PARE_CPU=LEVEL forces one)\n\n{}", lines,
               cpu_level_name(level), fmt::join(levels, ", "), table.to_string());
  }
}

Status inspect(const Args& args) {
  if (args.devices) {
    print_devices(args.common.json);
    return {};
  }
  if (args.model.empty()) return invalid_argument("MODEL is required (or --devices)");
  PARE_ASSIGN_OR_RETURN(const AnyModel model, open_any(args.model));
  if (args.common.json) {
    print_json_form(model, args);
  } else {
    print_text(model, args);
  }
  return {};
}

}  // namespace

Run add_inspect(CLI::App& app) {
  auto args = std::make_shared<Args>();
  auto* model =
      app.add_option("MODEL", args->model,
                     "GGUF file, Hugging Face directory, safetensors file or llama2.c checkpoint");
  app.add_flag("--devices,--cpu", args->devices,
               "Show this machine's GPUs, and which kernels its CPU runs each type with")
      ->excludes(model);
  app.add_flag("--tensors,!--no-tensors", args->tensors, "List every tensor (the default)");
  app.add_flag("--metadata", args->metadata, "Show all metadata keys");
  app.add_flag("--json", args->common.json, "Print results as JSON");
  return [args] { return inspect(*args); };
}

}  // namespace pare::cli
