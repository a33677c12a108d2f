#include "cli/plan_report.h"

#include <fmt/format.h>

#include <map>

#include "cli/console.h"
#include "codecs/codec.h"

namespace pare::cli {
namespace {

using Json = nlohmann::ordered_json;

struct TypeUse {
  size_t tensors = 0;
  uint64_t bytes = 0, weights = 0;
};

std::map<CodecId, TypeUse> types_used(const Plan& plan, const Model& model) {
  std::map<CodecId, TypeUse> use;
  for (const TensorInfo& t : planned_tensors(plan, model)) {
    TypeUse& u = use[t.codec];
    ++u.tensors;
    u.bytes += t.bytes;
    u.weights += static_cast<uint64_t>(t.shape.elements());
  }
  return use;
}

std::string type_table(const Plan& plan, const Model& model) {
  Table table({"type", "tensors", "weights", "size", "bits/weight"});
  for (const auto& [id, u] : types_used(plan, model)) {
    table.add({codec(id).name, fmt::format("{}", u.tensors), fmt::format("{}", u.weights),
               format_bytes(u.bytes),
               fmt::format("{:.3f}",
                           8.0 * static_cast<double>(u.bytes) / static_cast<double>(u.weights))});
  }
  return table.to_string();
}

}  // namespace

void print_plan(const Plan& plan, const Model& model, bool json) {
  const double bpw = plan_bits_per_weight(plan, model);
  if (json) {
    Json out = Json::parse(plan_to_json(plan));
    out["bits_per_weight"] = bpw;
    print_json(out);
    return;
  }
  Table table({"tensor", "shape", "from", "to", "size", "why"});
  const auto source = model.tensors->tensors();
  const auto planned = planned_tensors(plan, model);
  for (size_t i = 0; i < planned.size(); ++i) {
    table.add({planned[i].name, planned[i].shape.to_string(), codec(source[i].codec).name,
               codec(planned[i].codec).name, format_bytes(planned[i].bytes), plan.tensors[i].why});
  }
  fmt::print("{}\n{}\n{}: {} bytes ({}), {:.3f} bits/weight\n", table.to_string(),
             type_table(plan, model), plan.label, plan.file_bytes, format_bytes(plan.file_bytes),
             bpw);
}

void print_written(const Plan& plan, const Model& model, const DriveResult& written,
                   const VerifyResult& verified, double seconds, bool json) {
  const double bpw = plan_bits_per_weight(plan, model);
  if (json) {
    Json tensors = Json::array();
    for (size_t i = 0; i < plan.tensors.size(); ++i) {
      tensors.push_back({{"name", plan.tensors[i].name},
                         {"type", codec(plan.tensors[i].codec).name},
                         {"method", method_name(plan.tensors[i].method)},
                         {"relative_rms_error", verified.tensors[i].relative_rms},
                         {"max_abs_error", verified.tensors[i].max_abs}});
    }
    print_json({{"files", written.files},
                {"label", plan.label},
                {"bytes", written.file_bytes},
                {"bits_per_weight", bpw},
                {"relative_rms_error", verified.relative_rms},
                {"restored_tensors", written.restored},
                {"seconds", seconds},
                {"peak_memory_bytes", peak_memory()},
                {"tensors", std::move(tensors)}});
    return;
  }
  fmt::print("{}\n", type_table(plan, model));
  for (const std::string& file : written.files) fmt::print("wrote {}\n", file);
  if (written.restored > 0) {
    fmt::print("{} of {} tensors were there from an earlier run\n", written.restored,
               plan.tensors.size());
  }
  fmt::print(
      "{}: {} bytes ({}), {:.3f} bits/weight, relative error {:.4f}, {} and {} of memory\n"
      "verified: reopened, every byte and every tensor compared\n",
      plan.label, written.file_bytes, format_bytes(written.file_bytes), bpw, verified.relative_rms,
      format_seconds(seconds), format_bytes(peak_memory()));
}

}  // namespace pare::cli
