#include "cli/any_model.h"

#include <filesystem>

#include "codecs/codec.h"
#include "formats/gguf/reader.h"
#include "formats/hf_directory.h"
#include "formats/open.h"
#include "formats/safetensors/reader.h"
#include "model/open.h"

namespace pare::cli {
namespace {

// The weights under the names that they have on disk.
Status open_files(ModelForm form, AnyModel* model) {
  switch (form) {
    case ModelForm::kGguf: {
      PARE_ASSIGN_OR_RETURN(const auto file, gguf::File::open(model->path));
      model->metadata = file->metadata();
      model->tensors = file;
      return {};
    }
    case ModelForm::kHfDirectory: {
      PARE_ASSIGN_OR_RETURN(const auto directory, HfDirectory::open(model->path));
      model->tensors = directory->tensors();
      return {};
    }
    case ModelForm::kSafetensors: {
      PARE_ASSIGN_OR_RETURN(const auto file, safetensors::File::open(model->path));
      model->tensors = file;
      return {};
    }
    case ModelForm::kLlama2c:
      break;  // there is no other way to read it than open_model's
  }
  return unsupported("{}: not understood", model->path);
}

Status measure_files(ModelForm form, AnyModel* model) {
  if (const auto* file = dynamic_cast<const gguf::File*>(model->tensors.get())) {
    model->file_bytes = file->file_bytes();
    model->files = file->parts();
    model->gguf_version = file->version();
    return {};
  }
  if (form == ModelForm::kHfDirectory) {
    PARE_ASSIGN_OR_RETURN(const auto directory, HfDirectory::open(model->path));
    model->file_bytes = directory->tensors()->file_bytes();
    model->files = directory->tensors()->parts();
    return {};
  }
  std::error_code error;
  model->file_bytes = std::filesystem::file_size(model->path, error);
  if (error) return io_error("{}: {}", model->path, error.message());
  return {};
}

}  // namespace

Result<AnyModel> open_any(const std::string& path) {
  PARE_ASSIGN_OR_RETURN(const ModelForm form, detect_form(path));
  AnyModel any;
  any.path = path;
  any.form = model_form_name(form);
  auto opened = open_model(path);
  if (!opened.ok()) {
    any.problem = opened.status().message();
    // A tokenizer that we cannot read says nothing about the weights.
    opened = open_model(path, {.tokenizer = false});
  }
  if (opened.ok()) {
    any.metadata = opened->metadata;
    any.tensors = opened->tensors;
    any.desc = std::move(opened->desc);
  } else if (form == ModelForm::kLlama2c) {
    return opened.status();
  } else {
    PARE_RETURN_IF_ERROR(open_files(form, &any));
  }
  PARE_RETURN_IF_ERROR(measure_files(form, &any));
  return any;
}

std::string type_name(const AnyModel& model, size_t index) {
  if (const auto* file = dynamic_cast<const safetensors::File*>(model.tensors.get())) {
    return safetensors::dtype_info(file->dtype(index)).name;
  }
  return codec(model.tensors->tensors()[index].codec).name;
}

}  // namespace pare::cli
