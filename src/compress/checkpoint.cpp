#include "compress/checkpoint.h"

#include <cmath>
#include <filesystem>

#include "codecs/codec.h"
#include "compress/verify.h"
#include "formats/hf_directory.h"
#include "formats/safetensors/writer.h"
#include "model/hf_names.h"
#include "model/tokenizer/gguf_to_hf.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

// Weights converted between two writes: bounds the buffer, amortises the threads.
constexpr int64_t kBatchWeights = 1 << 22;
constexpr int64_t kTaskWeights = 1 << 16;

// What a Hugging Face directory says of its tokenizer and its use, in files of their own.
constexpr const char* kCompanions[] = {
    "generation_config.json",  "tokenizer.json",    "tokenizer.model", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json",      "merges.txt",
    "chat_template.jinja"};

const char* torch_name(CodecId dtype) {
  return dtype == CodecId::kF32 ? "float32" : dtype == CodecId::kF16 ? "float16" : "bfloat16";
}

Status file_error(std::string_view what, const fs::path& path, const std::error_code& error) {
  return io_error("{}: {}: {}", path.string(), what, error.message());
}

// A directory under a temporary name, removed unless it is published.
class StagedDirectory {
 public:
  static Result<std::unique_ptr<StagedDirectory>> create(const std::string& path) {
    std::error_code error;
    if (fs::exists(path, error) && !(fs::is_directory(path, error) && fs::is_empty(path, error))) {
      return invalid_argument("{}: exists and is not an empty directory; choose another output",
                              path);
    }
    fs::path target = fs::absolute(path).lexically_normal();
    if (!target.has_filename()) target = target.parent_path();  // "out/"
    fs::path staged = target;
    staged += ".part";
    // Left over from a run that was killed: only files, and only ours, are swept away.
    if (fs::exists(staged / kMarker, error)) fs::remove_all(staged, error);
    if (!fs::create_directory(staged, error)) {
      if (error) return file_error("cannot make the directory", staged, error);
      return invalid_argument("{}: is in the way; remove it", staged.string());
    }
    std::unique_ptr<StagedDirectory> directory(new StagedDirectory(target, staged));
    PARE_RETURN_IF_ERROR(
        write_text_atomically((staged / kMarker).string(), "An unfinished conversion by pare.\n"));
    return directory;
  }
  ~StagedDirectory() {
    std::error_code error;
    if (!published_) fs::remove_all(staged_, error);
  }
  StagedDirectory(const StagedDirectory&) = delete;
  StagedDirectory& operator=(const StagedDirectory&) = delete;

  std::string path(const std::string& name) const { return (staged_ / name).string(); }
  std::string final_path(const std::string& name) const { return (target_ / name).string(); }
  std::string path() const { return staged_.string(); }

  Status publish() {
    std::error_code error;
    fs::remove(staged_ / kMarker, error);
    fs::rename(staged_, target_, error);  // an empty directory of that name is replaced
    if (error) return file_error("cannot give the output its name", target_, error);
    published_ = true;
    return {};
  }

 private:
  static constexpr const char* kMarker = ".pare-unfinished";
  StagedDirectory(fs::path target, fs::path staged)
      : target_(std::move(target)), staged_(std::move(staged)) {}
  fs::path target_, staged_;
  bool published_ = false;
};

Status write_tensor(const PackedTensor& source, const Codec& to, size_t index,
                    FileSetWriter& writer, ThreadPool& pool) {
  const Codec& from = codec(source.codec);
  if (source.codec == to.id) return writer.write(index, source.bytes);
  if (from.decode_row == nullptr) return unsupported("{} cannot be dequantized", from.name);
  const int64_t rows = source.shape.rows(), columns = source.shape.columns();
  const int64_t task_rows = std::max<int64_t>(1, kTaskWeights / columns);
  const int64_t batch_rows = std::max<int64_t>(task_rows, kBatchWeights / columns);
  const uint64_t stride = to.row_bytes(columns);
  std::vector<std::byte> out;
  for (int64_t begin = 0; begin < rows; begin += batch_rows) {
    const int64_t count = std::min(batch_rows, rows - begin);
    out.resize(static_cast<uint64_t>(count) * stride);
    pool.parallel_for(static_cast<size_t>((count + task_rows - 1) / task_rows), [&](size_t task) {
      std::vector<float> row(static_cast<size_t>(columns));
      const int64_t first = begin + static_cast<int64_t>(task) * task_rows;
      for (int64_t r = first; r < std::min(begin + count, first + task_rows); ++r) {
        from.decode_row(source.row_bytes(r, 1).data(), row.data(), columns);
        to.encode_row(row.data(), nullptr, out.data() + static_cast<uint64_t>(r - begin) * stride,
                      columns);
      }
    });
    PARE_RETURN_IF_ERROR(writer.write(index, out));
  }
  return {};
}

Result<FileSet> write_weights(const TensorSource& source, const CheckpointOptions& options,
                              const std::string& path, ThreadPool& pool, Progress& progress) {
  const Codec& to = codec(options.dtype);
  std::vector<TensorInfo> infos;
  for (TensorInfo info : source.tensors()) {
    info.codec = to.id;
    info.bytes = to.tensor_bytes(info.shape);
    infos.push_back(std::move(info));
  }
  PARE_ASSIGN_OR_RETURN(const auto specs, safetensors::specs_of(infos));
  PARE_ASSIGN_OR_RETURN(const FileSet set,
                        safetensors::plan_files(path, specs,
                                                {.metadata = {{"format", "pt"}},
                                                 .max_shard_bytes = options.max_shard_bytes}));
  PARE_ASSIGN_OR_RETURN(const auto writer, FileSetWriter::create(set));
  progress.begin("convert", set.bytes(), "bytes");
  uint64_t done = 0;
  for (size_t i = 0; i < infos.size(); ++i) {
    if (progress.stop_requested()) return cancelled("stopped; nothing was written");
    const auto packed = source.read(i);
    if (!packed.ok()) return packed.status().with_context(infos[i].name);
    const Status written = write_tensor(*packed, to, i, *writer, pool);
    if (!written.ok()) return written.with_context(infos[i].name);
    source.release(i);
    progress.advance(done += infos[i].bytes);
  }
  PARE_RETURN_IF_ERROR(writer->commit());
  return set;
}

// The written directory, reopened as any reader would, against what was meant.
Result<double> read_back(const TensorSource& meant, const std::string& path, ThreadPool& pool,
                         Progress& progress) {
  const auto opened = HfDirectory::open(path);
  if (!opened.ok()) {
    return broken_promise("the written directory cannot be read: {}", opened.status().message());
  }
  const TensorSource& written = *(*opened)->tensors();
  double error2 = 0.0, source2 = 0.0;
  progress.begin("verify", meant.tensors().size(), "tensors");
  for (size_t i = 0; i < meant.tensors().size(); ++i) {
    if (progress.stop_requested()) return cancelled("stopped; nothing was written");
    const std::string& name = meant.tensors()[i].name;
    const int64_t at = written.find(name);
    if (at < 0) return broken_promise("tensor {} is not in the written files", name);
    PARE_ASSIGN_OR_RETURN(const PackedTensor a, meant.read(i));
    PARE_ASSIGN_OR_RETURN(const PackedTensor b, written.read(static_cast<size_t>(at)));
    PARE_ASSIGN_OR_RETURN(const TensorError error, compare_tensors(a, b, pool));
    if (!std::isfinite(error.max_abs)) {
      return broken_promise("{}: numbers that are not finite, or too large for {}", name,
                            codec(b.codec).name);
    }
    error2 += error.error2;
    source2 += error.source2;
    meant.release(i);
    written.release(static_cast<size_t>(at));
    progress.advance(i + 1);
  }
  return source2 > 0.0 ? std::sqrt(error2 / source2) : 0.0;
}

Result<std::vector<std::string>> write_companions(const Model& model,
                                                  const StagedDirectory& directory) {
  std::vector<std::string> names;
  if (model.form == "hf") {
    PARE_ASSIGN_OR_RETURN(const auto source, HfDirectory::open(model.path));
    for (const char* name : kCompanions) {
      if (!source->has(name)) continue;
      PARE_ASSIGN_OR_RETURN(const auto file, source->open_file(name));
      const auto bytes = file->bytes();
      PARE_RETURN_IF_ERROR(write_text_atomically(
          directory.path(name), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
      names.emplace_back(name);
    }
    return names;
  }
  if (!model.metadata.contains("tokenizer.ggml.model")) return names;
  PARE_ASSIGN_OR_RETURN(const HfTokenizerFiles files, tokenizer_to_hf(model.metadata));
  PARE_RETURN_IF_ERROR(write_text_atomically(directory.path("tokenizer.json"), files.tokenizer));
  PARE_RETURN_IF_ERROR(
      write_text_atomically(directory.path("tokenizer_config.json"), files.tokenizer_config));
  names.insert(names.end(), {"tokenizer.json", "tokenizer_config.json"});
  return names;
}

Result<nlohmann::json> config_of(const Model& model, const HfForm& form, CodecId dtype) {
  nlohmann::json config = form.config;
  if (model.form == "hf") {
    // What the source says beyond our knowledge of it is kept.
    PARE_ASSIGN_OR_RETURN(const auto source, HfDirectory::open(model.path));
    config = source->config();
  } else {
    for (const char* name : {"bos", "eos", "pad"}) {
      const auto key = fmt::format("tokenizer.ggml.{}_token_id", name);
      if (const auto* id = model.metadata.find(key)) {
        if (const auto number = id->number<int64_t>()) {
          config[fmt::format("{}_token_id", name)] = *number;
        }
      }
    }
  }
  config["torch_dtype"] = torch_name(dtype);
  return config;
}

}  // namespace

Result<CheckpointResult> write_checkpoint(const Model& model, const CheckpointOptions& options,
                                          ThreadPool& pool, Progress& progress) {
  PARE_CHECK(codec(options.dtype).is_float(), "a checkpoint is written in a float type");
  if (same_file(model.path, options.output)) {
    return invalid_argument("{}: is the model itself; choose another output", options.output);
  }
  PARE_ASSIGN_OR_RETURN(const HfForm form,
                        hugging_face_form(model.metadata, model.desc, model.tensors));
  PARE_ASSIGN_OR_RETURN(const auto config, config_of(model, form, options.dtype));
  PARE_ASSIGN_OR_RETURN(const auto directory, StagedDirectory::create(options.output));
  PARE_RETURN_IF_ERROR(write_text_atomically(
      directory->path("config.json"),
      config.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"));
  PARE_ASSIGN_OR_RETURN(const auto companions, write_companions(model, *directory));
  PARE_ASSIGN_OR_RETURN(
      const FileSet weights,
      write_weights(*form.tensors, options, directory->path("model.safetensors"), pool, progress));
  CheckpointResult result;
  PARE_ASSIGN_OR_RETURN(result.relative_rms,
                        read_back(*form.tensors, directory->path(), pool, progress));
  PARE_RETURN_IF_ERROR(directory->publish());
  result.files.push_back(directory->final_path("config.json"));
  for (const std::string& name : companions) result.files.push_back(directory->final_path(name));
  for (const auto& file : weights.files) {
    result.files.push_back(directory->final_path(fs::path(file.path).filename().string()));
  }
  result.weight_bytes = weights.bytes();
  result.tensors = form.tensors->tensors().size();
  return result;
}

}  // namespace pare
