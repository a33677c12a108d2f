#include "planner/stats.h"

#include <cmath>
#include <cstring>

#include "formats/gguf/reader.h"
#include "formats/gguf/writer.h"

namespace pare {
namespace {

constexpr std::string_view kSum = ".in_sum2", kCount = ".counts", kPivot = ".in_pivot",
                           kGradient = ".out_grad2";
constexpr char kEmbedding[] = "embedding.grad2";

Result<std::vector<float>> read_floats(const gguf::File& file, size_t index,
                                       const std::string& path) {
  const TensorInfo& info = file.tensors()[index];
  if (info.codec != CodecId::kF32) {
    return corrupt("{}: {}: statistics are F32, found another type", path, info.name);
  }
  PARE_ASSIGN_OR_RETURN(const PackedTensor packed, file.read(index));
  std::vector<float> values(static_cast<size_t>(info.shape.elements()));
  std::memcpy(values.data(), packed.bytes.data(), packed.bytes.size());
  for (float v : values) {
    if (!std::isfinite(v) || v < 0.0f) {
      return corrupt("{}: {}: {} found, finite numbers >= 0 expected", path, info.name, v);
    }
  }
  return values;
}

// "blk.0.attn_q.weight.counts" with suffix ".counts": true, and the name before it.
bool strip(std::string_view text, std::string_view suffix, std::string* name) {
  if (!text.ends_with(suffix)) return false;
  *name = text.substr(0, text.size() - suffix.size());
  return true;
}

struct Item {
  std::string name;
  std::vector<float> values;
};

}  // namespace

std::vector<float> TensorStats::importance() const {
  if (count <= 0.0) return {};
  std::vector<float> mean(in_sum2.size());
  for (size_t i = 0; i < mean.size(); ++i) {
    mean[i] = static_cast<float>(in_sum2[i] / count);
  }
  return mean;
}

const TensorStats* CalibrationStats::find(const std::string& name) const {
  const auto it = tensors.find(name);
  return it == tensors.end() ? nullptr : &it->second;
}

Result<CalibrationStats> read_stats(const std::string& path) {
  PARE_ASSIGN_OR_RETURN(const auto file, gguf::File::open(path));
  PARE_ASSIGN_OR_RETURN(const std::string type, file->metadata().get_string("general.type", ""));
  if (type != "imatrix") {
    return invalid_argument("{}: general.type is \"{}\", calibration statistics have \"imatrix\"",
                            path, type);
  }
  CalibrationStats stats;
  PARE_ASSIGN_OR_RETURN(stats.chunks, file->metadata().get_u32("imatrix.chunk_count", 0));
  PARE_ASSIGN_OR_RETURN(stats.chunk_size, file->metadata().get_u32("imatrix.chunk_size", 0));
  if (file->metadata().contains("imatrix.datasets")) {
    PARE_ASSIGN_OR_RETURN(const gguf::Array names,
                          file->metadata().get_strings("imatrix.datasets"));
    for (size_t i = 0; i < names.size(); ++i) {
      stats.dataset += (i == 0 ? "" : ", ") + std::string(names.string(i));
    }
  }
  for (size_t i = 0; i < file->tensors().size(); ++i) {
    const TensorInfo& info = file->tensors()[i];
    std::string name;
    if (info.name == kEmbedding) {
      PARE_ASSIGN_OR_RETURN(stats.embedding_grad2, read_floats(*file, i, path));
    } else if (strip(info.name, kSum, &name)) {
      if (info.shape.rows() != 1) {
        return unsupported("{}: {} holds {} matrices: mixture-of-experts statistics", path,
                           info.name, info.shape.rows());
      }
      PARE_ASSIGN_OR_RETURN(stats.tensors[name].in_sum2, read_floats(*file, i, path));
    } else if (strip(info.name, kCount, &name)) {
      PARE_ASSIGN_OR_RETURN(const auto values, read_floats(*file, i, path));
      stats.tensors[name].count = values.front();
    } else if (strip(info.name, kPivot, &name)) {
      PARE_ASSIGN_OR_RETURN(stats.tensors[name].in_pivot, read_floats(*file, i, path));
    } else if (strip(info.name, kGradient, &name)) {
      PARE_ASSIGN_OR_RETURN(stats.tensors[name].out_grad2, read_floats(*file, i, path));
    }
  }
  if (stats.tensors.empty()) return corrupt("{}: no statistics in it", path);
  for (const auto& [name, t] : stats.tensors) {
    if (t.in_sum2.empty()) return corrupt("{}: {}{} is missing", path, name, kSum);
    if (!t.in_pivot.empty() && t.in_pivot.size() != t.in_sum2.size()) {
      return corrupt("{}: {}{} has {} columns, {} expected", path, name, kPivot, t.in_pivot.size(),
                     t.in_sum2.size());
    }
  }
  return stats;
}

Status write_stats(const std::string& path, const CalibrationStats& stats) {
  gguf::Metadata metadata;
  metadata.set("general.type", std::string("imatrix"));
  metadata.set("imatrix.datasets", gguf::Array::of(std::vector<std::string>{stats.dataset}));
  metadata.set("imatrix.chunk_count", stats.chunks);
  metadata.set("imatrix.chunk_size", stats.chunk_size);
  std::vector<Item> items;
  for (const auto& [name, t] : stats.tensors) {
    items.push_back({name + std::string(kSum), t.in_sum2});
    items.push_back({name + std::string(kCount), {static_cast<float>(t.count)}});
    if (!t.in_pivot.empty()) items.push_back({name + std::string(kPivot), t.in_pivot});
    if (!t.out_grad2.empty()) items.push_back({name + std::string(kGradient), t.out_grad2});
  }
  if (!stats.embedding_grad2.empty()) items.push_back({kEmbedding, stats.embedding_grad2});
  std::vector<TensorInfo> infos;
  for (const Item& item : items) {
    // Two dimensions where there is a vector of columns, as llama.cpp's imatrix tool writes it.
    infos.push_back({item.name, Shape{1, static_cast<int64_t>(item.values.size())}, CodecId::kF32,
                     item.values.size() * sizeof(float)});
  }
  PARE_ASSIGN_OR_RETURN(FileSet set, gguf::plan_files(path, metadata, infos));
  PARE_ASSIGN_OR_RETURN(auto writer, FileSetWriter::create(std::move(set)));
  for (size_t i = 0; i < items.size(); ++i) {
    PARE_RETURN_IF_ERROR(writer->write(i, std::as_bytes(std::span(items[i].values))));
  }
  return writer->commit();
}

Result<CalibrationStats> read_stats(const std::string& path, const Model& model) {
  PARE_ASSIGN_OR_RETURN(CalibrationStats stats, read_stats(path));
  for (const TensorInfo& info : model.tensors->tensors()) {
    const TensorStats* found = stats.find(info.name);
    if (found == nullptr || static_cast<int64_t>(found->in_sum2.size()) == info.shape.columns()) {
      continue;
    }
    return invalid_argument("{}: {}: the statistics have {} columns, the weight {}", path,
                            info.name, found->in_sum2.size(), info.shape.columns());
  }
  return stats;
}

}  // namespace pare
