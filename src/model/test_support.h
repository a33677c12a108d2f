// For tests: golden models, and GGUF files made of a model without the driver.
#pragma once

#include <filesystem>
#include <string>

#include "formats/file_set.h"
#include "formats/gguf/writer.h"
#include "model/open.h"
#include "model/transformed_source.h"

namespace pare {

inline std::filesystem::path golden_logits_directory() {
  return std::filesystem::path(PARE_SOURCE_DIR) / "tests/golden/logits";
}

// Writes `model` as a GGUF file with every tensor in float32.
inline Status write_f32_gguf(const Model& model, const std::string& path) {
  std::vector<TensorInfo> targets(model.tensors->tensors().begin(), model.tensors->tensors().end());
  for (TensorInfo& target : targets) target.codec = CodecId::kF32;
  PARE_ASSIGN_OR_RETURN(FileSet files, gguf::plan_files(path, model.metadata, targets));
  PARE_ASSIGN_OR_RETURN(const auto writer, FileSetWriter::create(std::move(files)));
  for (size_t i = 0; i < targets.size(); ++i) {
    PARE_ASSIGN_OR_RETURN(const PackedTensor packed, model.tensors->read(i));
    PARE_ASSIGN_OR_RETURN(const PackedTensor floats, decode_to_f32(packed));
    PARE_RETURN_IF_ERROR(writer->write(i, floats.bytes));
  }
  return writer->commit();
}

}  // namespace pare
