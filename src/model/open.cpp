#include "model/open.h"

#include <cmath>
#include <filesystem>

#include "codecs/codec.h"
#include "formats/gguf/reader.h"
#include "formats/hf_directory.h"
#include "formats/llama2c.h"
#include "formats/open.h"
#include "model/arch/arch.h"
#include "model/hf_names.h"
#include "model/tokenizer/hf_to_gguf.h"

namespace pare {
namespace {

// The model's parameters in the form that model names use: "135M", "1.1B".
std::string size_label(const TensorSource& tensors) {
  double count = 0;
  for (const TensorInfo& info : tensors.tensors()) {
    count += static_cast<double>(info.shape.elements());
  }
  int unit = 0;
  for (count /= 1e3; count >= 999.5 && unit < 3; count /= 1e3) ++unit;
  const int decimals = count < 9.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", count, decimals, "KMBT"[unit]);
}

// general.file_type of the type that most weights have.
uint32_t file_type(const TensorSource& tensors) {
  uint64_t f32 = 0, f16 = 0, bf16 = 0;
  for (const TensorInfo& info : tensors.tensors()) {
    if (info.codec == CodecId::kF32) f32 += info.bytes;
    if (info.codec == CodecId::kF16) f16 += info.bytes;
    if (info.codec == CodecId::kBF16) bf16 += info.bytes;
  }
  if (bf16 > f32 && bf16 >= f16) return 32;
  return f16 > f32 ? 1 : 0;
}

// The directory's own name, whatever way it is written ("models/x/", ".").
std::string directory_name(const std::string& path) {
  std::error_code error;
  const auto whole = std::filesystem::weakly_canonical(path, error);
  return error ? path : whole.filename().string();
}

Status check_floats(const TensorSource& tensors, std::string_view file) {
  for (const TensorInfo& info : tensors.tensors()) {
    if (!codec(info.codec).is_float()) {
      return unsupported("{}: tensor {} is {}, expected a floating-point type", file, info.name,
                         codec(info.codec).name);
    }
  }
  return {};
}

Status open_hf(const std::string& path, const OpenOptions& options, Model* model) {
  PARE_ASSIGN_OR_RETURN(const auto directory, HfDirectory::open(path));
  const nlohmann::json& config = directory->config();
  const HfConfig view(config);
  if (view.has("quantization_config")) {
    return unsupported(
        "config.json: the checkpoint is quantized already (\"quantization_config\")");
  }
  PARE_ASSIGN_OR_RETURN(const Architecture* arch, architecture_of_config(config));
  gguf::Metadata& metadata = model->metadata;
  metadata.set("general.architecture", gguf::Value(arch->name));
  metadata.set("general.type", gguf::Value("model"));
  metadata.set("general.name", gguf::Value(directory_name(path)));
  PARE_ASSIGN_OR_RETURN(model->tensors, canonical_view(*arch, config, directory->tensors(), path));
  PARE_RETURN_IF_ERROR(check_floats(*model->tensors, path));
  metadata.set("general.size_label", gguf::Value(size_label(*model->tensors)));
  KeyWriter keys(&metadata, arch->name);
  PARE_RETURN_IF_ERROR(arch->metadata_from_config(view, &keys));
  metadata.set("general.file_type", file_type(*model->tensors));
  metadata.set("general.quantization_version", uint32_t{2});
  // Without tokenizer files the weights can still be worked on; what needs text will say so.
  const bool has_tokenizer =
      file_exists(path + "/tokenizer.json") || file_exists(path + "/tokenizer.model");
  if (options.tokenizer && has_tokenizer) {
    PARE_ASSIGN_OR_RETURN(const gguf::Metadata tokenizer, tokenizer_to_gguf(*directory));
    for (const auto& entry : tokenizer) metadata.set(entry.key, entry.value);
  }
  return {};
}

Status open_by_form(ModelForm form, const std::string& path, const OpenOptions& options,
                    Model* model) {
  switch (form) {
    case ModelForm::kGguf: {
      PARE_ASSIGN_OR_RETURN(const auto file, gguf::File::open(path));
      model->metadata = file->metadata();
      model->tensors = file;
      return {};
    }
    case ModelForm::kLlama2c: {
      PARE_ASSIGN_OR_RETURN(const auto file, llama2c::File::open(path));
      model->metadata = file->metadata();
      model->tensors = file;
      return {};
    }
    case ModelForm::kHfDirectory:
      return open_hf(path, options, model);
    case ModelForm::kSafetensors:
      break;
  }
  return unsupported(
      "a safetensors file alone does not say what model it is: give the directory "
      "with its config.json");
}

// Ids beyond the embedding's rows would be read from nowhere.
Status check_vocabulary(const Model& model) {
  const gguf::Value* tokens = model.metadata.find("tokenizer.ggml.tokens");
  if (tokens == nullptr || tokens->array() == nullptr) return {};
  const auto count = static_cast<int64_t>(tokens->array()->size());
  if (count == model.desc.hparams.n_vocab) return {};
  return corrupt("tensor token_embd.weight has {} rows, expected {}, one for each token",
                 model.desc.hparams.n_vocab, count);
}

// Errors from deeper down name the key or the tensor; here the file is added, once.
Status in_file(const Status& status, const std::string& path) {
  if (status.ok() || status.message().find(path) != std::string::npos) return status;
  return status.with_context(path);
}

}  // namespace

Result<Model> open_model(const std::string& path, const OpenOptions& options) {
  PARE_ASSIGN_OR_RETURN(const ModelForm form, detect_form(path));
  Model model;
  model.path = path;
  model.form = model_form_name(form);
  PARE_RETURN_IF_ERROR(in_file(open_by_form(form, path, options, &model), path));
  Result<ModelDesc> desc = describe_model(model.metadata, model.tensors->tensors());
  if (!desc.ok()) return in_file(desc.status(), path);
  model.desc = std::move(desc).value();
  PARE_RETURN_IF_ERROR(in_file(check_vocabulary(model), path));
  PARE_ASSIGN_OR_RETURN(model.source_index,
                        check_tensors(model.desc, model.tensors->tensors(), path));
  return model;
}

}  // namespace pare
