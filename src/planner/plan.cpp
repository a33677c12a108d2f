#include "planner/plan.h"

#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "codecs/codec.h"
#include "formats/gguf/writer.h"

namespace pare {
namespace {

using Json = nlohmann::ordered_json;

constexpr struct {
  Method method;
  const char* name;
} kMethods[] = {{Method::kKeep, "keep"}, {Method::kRtn, "rtn"}, {Method::kGptq, "gptq"}};

// A field of a JSON object, with the type that it must have.
template <typename T>
Status read_field(const Json& object, const char* key, std::string_view label, T* out) {
  const auto it = object.find(key);
  if (it == object.end()) return corrupt("{}: plan: \"{}\" is missing", label, key);
  bool right;
  if constexpr (std::is_same_v<T, std::string>) {
    right = it->is_string();
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    right = it->is_number_unsigned();
  } else {
    right = it->is_number_integer();
  }
  if (!right) return corrupt("{}: plan: \"{}\" is a {}", label, key, it->type_name());
  *out = it->get<T>();
  return {};
}

Status read_tensor(const Json& object, std::string_view label, TensorPlan* out) {
  if (!object.is_object()) return corrupt("{}: plan: a tensor is a {}", label, object.type_name());
  std::string codec_name, method;
  PARE_RETURN_IF_ERROR(read_field(object, "name", label, &out->name));
  PARE_RETURN_IF_ERROR(read_field(object, "codec", label, &codec_name));
  PARE_RETURN_IF_ERROR(read_field(object, "method", label, &method));
  if (object.contains("why")) PARE_RETURN_IF_ERROR(read_field(object, "why", label, &out->why));
  const Codec* found = find_codec(codec_name);
  if (found == nullptr) {
    return corrupt("{}: plan: tensor {}: unknown codec \"{}\"", label, out->name, codec_name);
  }
  out->codec = found->id;
  for (const auto& m : kMethods) {
    if (method == m.name) {
      out->method = m.method;
      return {};
    }
  }
  return corrupt("{}: plan: tensor {}: unknown method \"{}\"", label, out->name, method);
}

}  // namespace

const char* method_name(Method method) {
  for (const auto& m : kMethods) {
    if (m.method == method) return m.name;
  }
  return "unknown";
}

std::string plan_to_json(const Plan& plan) {
  Json json = {{"schema", Plan::kSchema},         {"source", plan.source},
               {"source_hash", plan.source_hash}, {"label", plan.label},
               {"file_type", plan.file_type},     {"budget_bytes", plan.budget_bytes},
               {"file_bytes", plan.file_bytes},   {"command", plan.command}};
  Json tensors = Json::array();
  for (const TensorPlan& t : plan.tensors) {
    tensors.push_back({{"name", t.name},
                       {"codec", codec(t.codec).name},
                       {"method", method_name(t.method)},
                       {"why", t.why}});
  }
  json["tensors"] = std::move(tensors);
  return json.dump(1) + "\n";
}

Result<Plan> plan_from_json(std::string_view text, std::string_view label) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return corrupt("{}: not a JSON object", label);
  int64_t schema = 0, file_type = -1;
  PARE_RETURN_IF_ERROR(read_field(json, "schema", label, &schema));
  if (schema != Plan::kSchema) {
    return unsupported("{}: plan schema {}, this program reads {}", label, schema, Plan::kSchema);
  }
  Plan plan;
  PARE_RETURN_IF_ERROR(read_field(json, "source", label, &plan.source));
  PARE_RETURN_IF_ERROR(read_field(json, "source_hash", label, &plan.source_hash));
  PARE_RETURN_IF_ERROR(read_field(json, "label", label, &plan.label));
  PARE_RETURN_IF_ERROR(read_field(json, "file_type", label, &file_type));
  PARE_RETURN_IF_ERROR(read_field(json, "budget_bytes", label, &plan.budget_bytes));
  PARE_RETURN_IF_ERROR(read_field(json, "file_bytes", label, &plan.file_bytes));
  PARE_RETURN_IF_ERROR(read_field(json, "command", label, &plan.command));
  plan.file_type = static_cast<int>(file_type);
  const auto tensors = json.find("tensors");
  if (tensors == json.end() || !tensors->is_array()) {
    return corrupt("{}: plan: \"tensors\" is missing or not an array", label);
  }
  for (const Json& object : *tensors) {
    TensorPlan t;
    PARE_RETURN_IF_ERROR(read_tensor(object, label, &t));
    plan.tensors.push_back(std::move(t));
  }
  return plan;
}

std::string source_fingerprint(const Model& model) {
  Hasher hasher;
  hasher.add_text(model.desc.arch);
  for (const TensorInfo& t : model.tensors->tensors()) {
    hasher.add_text(t.name);
    hasher.add_text(t.shape.to_string());
    hasher.add_text(codec(t.codec).name);
  }
  return hasher.hex();
}

Status check_plan(const Plan& plan, const Model& model) {
  const auto tensors = model.tensors->tensors();
  if (plan.source_hash != source_fingerprint(model)) {
    return invalid_argument(
        "the plan was made for another model: its source was {} with fingerprint {}, {} has {}",
        plan.source, plan.source_hash, model.path, source_fingerprint(model));
  }
  if (plan.tensors.size() != tensors.size()) {
    return invalid_argument("the plan has {} tensors, {} has {}", plan.tensors.size(), model.path,
                            tensors.size());
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorPlan& t = plan.tensors[i];
    if (t.name != tensors[i].name) {
      return invalid_argument("tensor {} of the plan is {}, of {} it is {}", i, t.name, model.path,
                              tensors[i].name);
    }
    const Codec& c = codec(t.codec);
    if (t.method == Method::kKeep && t.codec != tensors[i].codec) {
      return invalid_argument("{}: kept as it is, but {} is planned and {} found", t.name, c.name,
                              codec(tensors[i].codec).name);
    }
    if (t.method != Method::kKeep && c.encode_row == nullptr) {
      return unsupported("{}: {} can be read, not written", t.name, c.name);
    }
    if (!c.divides(tensors[i].shape.columns())) {
      return invalid_argument("{}: rows of {} columns do not divide into blocks of {} ({})", t.name,
                              tensors[i].shape.columns(), c.block_len, c.name);
    }
  }
  return {};
}

std::vector<TensorInfo> planned_tensors(const Plan& plan, const Model& model) {
  std::vector<TensorInfo> infos(model.tensors->tensors().begin(), model.tensors->tensors().end());
  for (size_t i = 0; i < infos.size(); ++i) {
    infos[i].codec = plan.tensors[i].codec;
    infos[i].bytes = codec(infos[i].codec).tensor_bytes(infos[i].shape);
  }
  return infos;
}

gguf::Metadata output_metadata(const Plan& plan, const Model& model) {
  gguf::Metadata metadata = model.metadata;
  if (plan.file_type >= 0) {
    metadata.set("general.file_type", static_cast<uint32_t>(plan.file_type));
  } else {
    metadata.erase("general.file_type");
  }
  metadata.set("general.quantization_version", uint32_t{2});
  metadata.set("pare.version", std::string(PARE_VERSION));
  metadata.set("pare.plan", plan.label);
  metadata.set("pare.source_hash", plan.source_hash);
  return metadata;
}

Result<uint64_t> plan_file_bytes(const Plan& plan, const Model& model) {
  PARE_ASSIGN_OR_RETURN(
      const FileSet set,
      gguf::plan_files("out.gguf", output_metadata(plan, model), planned_tensors(plan, model)));
  return set.bytes();
}

double plan_bits_per_weight(const Plan& plan, const Model& model) {
  double bytes = 0.0, weights = 0.0;
  for (const TensorInfo& t : planned_tensors(plan, model)) {
    bytes += static_cast<double>(t.bytes);
    weights += static_cast<double>(t.shape.elements());
  }
  return weights > 0.0 ? 8.0 * bytes / weights : 0.0;
}

}  // namespace pare
