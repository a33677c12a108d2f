#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "cli/any_model.h"
#include "cli/verb.h"
#include "compress/verify.h"

namespace pare::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Args {
  Common common;
  std::string a, b;
  bool all = false;
};

struct TensorDiff {
  std::string name, type_a, type_b;  // a type is empty where there is no such tensor
  std::string shape_a, shape_b;
  uint64_t bytes_a = 0, bytes_b = 0;
  bool same_bytes = false;
  std::optional<TensorError> error;  // absent: not comparable
  std::string problem;               // why not
};

struct KeyDiff {
  std::string key, a, b;  // empty: absent there
};

struct ModelDiff {
  std::vector<TensorDiff> tensors;
  std::vector<KeyDiff> keys;
};

Result<TensorDiff> compare(const AnyModel& a, size_t i, const AnyModel& b, size_t j,
                           ThreadPool& pool) {
  const TensorInfo& x = a.tensors->tensors()[i];
  const TensorInfo& y = b.tensors->tensors()[j];
  TensorDiff diff{.name = x.name,
                  .type_a = type_name(a, i),
                  .type_b = type_name(b, j),
                  .shape_a = x.shape.to_string(),
                  .shape_b = y.shape.to_string(),
                  .bytes_a = x.bytes,
                  .bytes_b = y.bytes};
  if (x.shape != y.shape) {
    diff.problem = "shapes differ";
    return diff;
  }
  const auto packed_a = a.tensors->read(i);
  const auto packed_b = b.tensors->read(j);
  for (const auto* packed : {&packed_a, &packed_b}) {
    if (packed->ok()) continue;
    if (packed->status().code() != StatusCode::kUnsupported) return packed->status();
    diff.problem = packed->status().message();
    return diff;
  }
  diff.same_bytes = x.codec == y.codec && std::ranges::equal(packed_a->bytes, packed_b->bytes);
  const auto error = compare_tensors(*packed_a, *packed_b, pool);
  if (error.ok()) {
    diff.error = *error;
  } else {
    diff.problem = error.status().message();
  }
  a.tensors->release(i);
  b.tensors->release(j);
  return diff;
}

TensorDiff one_sided(const AnyModel& model, size_t i, bool is_a) {
  const TensorInfo& t = model.tensors->tensors()[i];
  TensorDiff diff{.name = t.name};
  (is_a ? diff.type_a : diff.type_b) = type_name(model, i);
  (is_a ? diff.shape_a : diff.shape_b) = t.shape.to_string();
  (is_a ? diff.bytes_a : diff.bytes_b) = t.bytes;
  diff.problem = is_a ? "only in A" : "only in B";
  return diff;
}

std::vector<KeyDiff> compare_keys(const gguf::Metadata& a, const gguf::Metadata& b) {
  std::vector<KeyDiff> keys;
  for (const auto& [key, value] : a) {
    const gguf::Value* other = b.find(key);
    if (other != nullptr && *other == value) continue;
    KeyDiff diff{key, value.to_string(), other == nullptr ? "" : other->to_string()};
    // Long values can differ beyond what is shown, and numbers in their type.
    if (other != nullptr && diff.a == diff.b) {
      diff.a += " (" + value.type_name() + ")";
      diff.b += other->type_name() == value.type_name() ? " (differs further on)"
                                                        : " (" + other->type_name() + ")";
    }
    keys.push_back(std::move(diff));
  }
  for (const auto& [key, value] : b) {
    if (!a.contains(key)) keys.push_back({key, "", value.to_string()});
  }
  return keys;
}

Result<ModelDiff> compare_models(const AnyModel& a, const AnyModel& b, const Common& common) {
  TerminalProgress progress(common.quiet);
  ThreadPool pool(common.threads);
  std::unordered_map<std::string_view, size_t> in_b;
  for (size_t j = 0; j < b.tensors->tensors().size(); ++j) {
    in_b.emplace(b.tensors->tensors()[j].name, j);
  }
  ModelDiff diff;
  uint64_t total = 0, done = 0;
  for (const TensorInfo& t : a.tensors->tensors()) total += t.bytes;
  progress.begin("compare", total, "bytes");
  for (size_t i = 0; i < a.tensors->tensors().size(); ++i) {
    if (progress.stop_requested()) return cancelled("stopped");
    const TensorInfo& t = a.tensors->tensors()[i];
    if (const auto found = in_b.find(t.name); found != in_b.end()) {
      auto compared = compare(a, i, b, found->second, pool);
      if (!compared.ok()) return compared.status().with_context(t.name);
      diff.tensors.push_back(std::move(compared).value());
      in_b.erase(found);
    } else {
      diff.tensors.push_back(one_sided(a, i, /*is_a=*/true));
    }
    progress.advance(done += t.bytes);
  }
  for (size_t j = 0; j < b.tensors->tensors().size(); ++j) {
    if (in_b.contains(b.tensors->tensors()[j].name)) {
      diff.tensors.push_back(one_sided(b, j, /*is_a=*/false));
    }
  }
  diff.keys = compare_keys(a.metadata, b.metadata);
  return diff;
}

size_t count_same(const ModelDiff& diff) {
  return static_cast<size_t>(
      std::ranges::count_if(diff.tensors, [](const TensorDiff& t) { return t.same_bytes; }));
}

void print_json_form(const AnyModel& a, const AnyModel& b, const ModelDiff& diff) {
  Json tensors = Json::array(), keys = Json::array();
  for (const TensorDiff& t : diff.tensors) {
    Json line = {{"name", t.name}};
    const auto side = [&](const std::string& type, const std::string& shape, uint64_t bytes) {
      return type.empty() ? Json() : Json{{"type", type}, {"shape", shape}, {"bytes", bytes}};
    };
    line["a"] = side(t.type_a, t.shape_a, t.bytes_a);
    line["b"] = side(t.type_b, t.shape_b, t.bytes_b);
    line["same_bytes"] = t.same_bytes;
    if (t.error) {
      // JSON has no infinity: a tensor of zeros that became something else gives null.
      const double relative = t.error->relative_rms;
      line["relative_rms_error"] = std::isfinite(relative) ? Json(relative) : Json();
      line["max_abs_error"] = t.error->max_abs;
      line["cosine"] = t.error->cosine;
    } else {
      line["problem"] = t.problem;
    }
    tensors.push_back(std::move(line));
  }
  for (const KeyDiff& key : diff.keys) {
    keys.push_back({{"key", key.key},
                    {"a", key.a.empty() ? Json() : Json(key.a)},
                    {"b", key.b.empty() ? Json() : Json(key.b)}});
  }
  print_json({{"a", a.path},
              {"b", b.path},
              {"file_bytes_a", a.file_bytes},
              {"file_bytes_b", b.file_bytes},
              {"same_tensors", count_same(diff)},
              {"tensors", std::move(tensors)},
              {"metadata", std::move(keys)}});
}

void print_text(const AnyModel& a, const AnyModel& b, const ModelDiff& diff, bool all) {
  Table table({"tensor", "type", "relative error", "max error", "cosine", ""});
  for (const TensorDiff& t : diff.tensors) {
    if (t.same_bytes && !all) continue;
    const std::string type = t.type_a == t.type_b
                                 ? t.type_a
                                 : fmt::format("{} -> {}", t.type_a.empty() ? "-" : t.type_a,
                                               t.type_b.empty() ? "-" : t.type_b);
    const std::string shapes = t.shape_a.empty() || t.shape_b.empty() || t.shape_a == t.shape_b
                                   ? ""
                                   : fmt::format(": {} -> {}", t.shape_a, t.shape_b);
    if (t.error) {
      table.add({t.name, type, fmt::format("{:.6f}", t.error->relative_rms),
                 fmt::format("{:.6g}", t.error->max_abs), fmt::format("{:.7f}", t.error->cosine),
                 t.same_bytes ? "same bytes" : ""});
    } else {
      table.add({t.name, type, "", "", "", t.problem + shapes});
    }
  }
  const size_t same = count_same(diff);
  if (all || same < diff.tensors.size()) fmt::print("{}\n", table.to_string());
  for (const KeyDiff& key : diff.keys) {
    fmt::print("{}\n", printable(key.key));
    if (!key.a.empty()) fmt::print("  A: {}\n", printable(key.a));
    if (!key.b.empty()) fmt::print("  B: {}\n", printable(key.b));
  }
  if (!diff.keys.empty()) fmt::print("\n");
  fmt::print("A: {}, {} ({})\nB: {}, {} ({})\n", a.path, format_bytes(a.file_bytes), a.form, b.path,
             format_bytes(b.file_bytes), b.form);
  fmt::print("{} of {} tensors have the same type and bytes{}, {} metadata keys differ\n", same,
             diff.tensors.size(), all || same == 0 ? "" : " (not listed; --all lists them)",
             diff.keys.size());
}

Status diff(const Args& args) {
  PARE_ASSIGN_OR_RETURN(const AnyModel a, open_any(args.a));
  PARE_ASSIGN_OR_RETURN(const AnyModel b, open_any(args.b));
  PARE_ASSIGN_OR_RETURN(const ModelDiff result, compare_models(a, b, args.common));
  if (args.common.json) {
    print_json_form(a, b, result);
  } else {
    print_text(a, b, result, args.all);
  }
  return {};
}

}  // namespace

Run add_diff(CLI::App& app) {
  auto args = std::make_shared<Args>();
  app.add_option("A", args->a, "The original: any form of model")->required();
  app.add_option("B", args->b, "What it is compared with")->required();
  app.add_flag("--all", args->all, "Also list tensors whose bytes are the same");
  add_common(app, args->common);
  return [args] { return diff(*args); };
}

}  // namespace pare::cli
