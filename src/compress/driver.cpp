#include "compress/driver.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <numeric>

#include "base/hash.h"
#include "codecs/codec.h"
#include "compress/journal.h"
#include "compress/piece_writer.h"
#include "formats/gguf/writer.h"

namespace pare {
namespace {

constexpr auto kSyncInterval = std::chrono::seconds(10);

// The output may not be the model, nor a file of the model's directory that is read from.
Status refuse_input_as_output(const Model& model, const FileSet& set) {
  std::vector<std::string> inputs = {model.path};
  if (directory_exists(model.path)) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(model.path, error)) {
      const auto kind = entry.path().extension();
      if (kind == ".safetensors" || kind == ".json") inputs.push_back(entry.path().string());
    }
  }
  for (const FileSet::File& out : set.files) {
    for (const std::string& in : inputs) {
      if (same_file(in, out.path)) {
        return invalid_argument("{}: is the model itself; choose another output", out.path);
      }
    }
  }
  return {};
}

std::string job_identity(const Model& model, const Plan& plan, const Encoder& encoder,
                         const DriveOptions& options) {
  Hasher hasher;
  hasher.add_text(plan.source_hash);
  for (const TensorPlan& t : plan.tensors) {
    hasher.add_text(t.name);
    hasher.add(static_cast<uint64_t>(t.codec));
    hasher.add(static_cast<uint64_t>(t.method));
  }
  hasher.add(options.split_max_bytes);
  hasher.add_text(encoder.identity());
  hasher.add_text(model.path);
  std::error_code error;
  const auto changed = std::filesystem::last_write_time(model.path, error);
  hasher.add(static_cast<uint64_t>(changed.time_since_epoch().count()));
  return hasher.hex();
}

// Takes what an earlier run of the same job left, checking every byte it claims.
class Resumption {
 public:
  Resumption(const FileSet& set, const Plan& plan, const Model& model)
      : set_(set), plan_(plan), model_(model) {}

  // The tensor's bytes in the partial output if their hash is right, else null.
  std::shared_ptr<const MappedFile> find(size_t index, const std::string& hash, PackedTensor* out) {
    const FileSet::Place& place = set_.places[index];
    auto file = MappedFile::open(set_.files[place.file].path + ".part");
    if (!file.ok() || (*file)->bytes().size() < place.offset + place.bytes) return nullptr;
    const auto bytes = (*file)->bytes().subspan(place.offset, place.bytes);
    Hasher hasher;
    hasher.add(bytes);
    if (hasher.hex() != hash) return nullptr;
    out->codec = plan_.tensors[index].codec;
    out->shape = model_.tensors->tensors()[index].shape;
    out->bytes = bytes;
    out->owner = *file;
    return *file;
  }

 private:
  const FileSet& set_;
  const Plan& plan_;
  const Model& model_;
};

}  // namespace

std::vector<size_t> encoding_order(const Model& model) {
  const auto tensors = model.tensors->tensors();
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto rank = [&](size_t i) {
    const int32_t d = model.desc.find(tensors[i].name);
    const int last = static_cast<int>(model.desc.hparams.n_block) + 1;
    if (d < 0) return last;
    const TensorDesc& desc = model.desc.tensors[static_cast<size_t>(d)];
    if (desc.block >= 0) return desc.block;
    // A tied embedding is also the output matrix, whose statistics come last.
    return last;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rank(a) < rank(b); });
  return order;
}

Result<DriveResult> drive(const Model& model, const Plan& plan, Encoder& encoder,
                          const DriveOptions& options, Progress& progress) {
  PARE_RETURN_IF_ERROR(check_plan(plan, model));
  PARE_ASSIGN_OR_RETURN(
      const FileSet set,
      gguf::plan_files(options.output, output_metadata(plan, model), planned_tensors(plan, model),
                       {.split_max_bytes = options.split_max_bytes}));
  PARE_RETURN_IF_ERROR(refuse_input_as_output(model, set));
  if (!model.metadata.contains("tokenizer.ggml.model")) {
    progress.note("note: the model has no tokenizer, so the file has none: nothing can run text with it");
  }

  PARE_ASSIGN_OR_RETURN(
      auto journal,
      Journal::open(options.output, job_identity(model, plan, encoder, options), *options.fs));
  std::unique_ptr<FileSetWriter> writer;
  if (!journal->finished().empty()) {
    auto resumed = FileSetWriter::resume(set, *options.fs);
    if (resumed.ok()) {
      writer = std::move(resumed).value();
    } else if (resumed.status().code() != StatusCode::kNotFound) {
      return resumed.status();
    }
  }
  if (writer == nullptr) {
    PARE_RETURN_IF_ERROR(journal->restart());
    PARE_ASSIGN_OR_RETURN(writer, FileSetWriter::create(set, *options.fs));
  }
  // Whatever happens from here on, what was written can be gone on with.
  writer->keep_partial();

  DriveResult result;
  result.hashes.resize(plan.tensors.size());
  result.file_bytes = set.bytes();
  for (const auto& file : set.files) {
    result.files.push_back(file.path);
    result.headers.push_back(file.header);
  }
  uint64_t done = 0;
  progress.begin("compress", set.bytes(), "bytes");
  auto last_sync = std::chrono::steady_clock::now();
  const auto earlier = journal->finished();
  Resumption resumption(set, plan, model);
  size_t current = 0;
  Hasher hasher;
  PieceWriter pieces([&](std::span<const std::byte> piece) {
    hasher.add_piece(piece);
    return writer->write(current, piece);
  });
  for (size_t index : encoding_order(model)) {
    if (progress.stop_requested()) {
      return cancelled("stopped; the same command goes on from here");
    }
    const auto finished = earlier.find(index);
    PackedTensor bytes;
    if (finished != earlier.end() && resumption.find(index, finished->second, &bytes)) {
      PARE_RETURN_IF_ERROR(encoder.restored(index, bytes));
      writer->mark_written(index);
      result.hashes[index] = finished->second;
      ++result.restored;
    } else {
      hasher = Hasher();
      current = index;
      Status status = encoder.encode(
          index, [&](std::span<const std::byte> piece) { return pieces.write(piece); });
      if (status.ok()) status = pieces.flush();
      if (!status.ok()) return status.with_context(plan.tensors[index].name);
      if (!writer->is_written(index)) {
        return internal_error("{}: the encoder wrote too little", plan.tensors[index].name);
      }
      result.hashes[index] = hasher.hex();
      PARE_RETURN_IF_ERROR(journal->add(index, result.hashes[index]));
    }
    if (const auto now = std::chrono::steady_clock::now(); now - last_sync > kSyncInterval) {
      PARE_RETURN_IF_ERROR(writer->sync());
      PARE_RETURN_IF_ERROR(journal->sync());
      last_sync = now;
    }
    done += set.places[index].bytes;
    progress.advance(done);
  }
  PARE_RETURN_IF_ERROR(writer->commit());
  // The output is whole: a journal that stays behind is ignored by the next run.
  (void)journal->remove();
  return result;
}

}  // namespace pare
