// For tests: golden models, and GGUF files made of a model without the driver.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/file_set.h"
#include "formats/gguf/writer.h"
#include "formats/safetensors/reader.h"
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

// Tokens and the logits that the reference gave after each of them.
struct Expected {
  std::vector<int32_t> tokens;
  std::vector<float> logits;
};

inline Expected read_expected(const std::filesystem::path& directory) {
  auto file = safetensors::File::open((directory / "expected.safetensors").string());
  EXPECT_TRUE(file.ok()) << file.status().message();
  Expected expected;
  auto tokens = (*file)->read(static_cast<size_t>((*file)->find("tokens")));
  auto logits = (*file)->read(static_cast<size_t>((*file)->find("logits")));
  EXPECT_TRUE(tokens.ok() && logits.ok());
  for (size_t i = 0; i < tokens->bytes.size() / 8; ++i) {
    int64_t token;
    std::memcpy(&token, tokens->bytes.data() + 8 * i, 8);
    expected.tokens.push_back(static_cast<int32_t>(token));
  }
  expected.logits.resize(logits->bytes.size() / 4);
  std::memcpy(expected.logits.data(), logits->bytes.data(), logits->bytes.size());
  return expected;
}

}  // namespace pare
