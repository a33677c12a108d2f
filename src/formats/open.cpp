#include "formats/open.h"

#include <cstring>
#include <string_view>

#include "base/file.h"
#include "formats/llama2c.h"
#include "formats/safetensors/header.h"

namespace pare {
namespace {

struct Known {
  std::string_view magic;
  const char* what;
};
constexpr Known kOthers[] = {
    {"lmgg", "a model in the format before GGUF (GGML), which holds too little to be read"},
    {"fmgg", "a model in the format before GGUF (GGMF), which holds too little to be read"},
    {"tjgg", "a model in the format before GGUF (GGJT), which holds too little to be read"},
    {"PK\x03\x04", "a zip archive, probably pickled PyTorch weights: convert to safetensors first"},
    {"\x80\x02", "a Python pickle, which is never read: convert to safetensors first"},
    {"\x80\x04", "a Python pickle, which is never read: convert to safetensors first"},
    {"\x89HDF", "an HDF5 file: convert to safetensors first"},
};

// A safetensors file begins with the length of its header and the header's brace.
bool looks_like_safetensors(std::string_view bytes) {
  uint64_t length = 0;
  if (bytes.size() <= sizeof(length)) return false;
  std::memcpy(&length, bytes.data(), sizeof(length));
  return length <= safetensors::kMaxHeaderBytes && bytes[sizeof(length)] == '{';
}

}  // namespace

const char* model_form_name(ModelForm form) {
  switch (form) {
    case ModelForm::kGguf:
      return "gguf";
    case ModelForm::kHfDirectory:
      return "hf";
    case ModelForm::kSafetensors:
      return "safetensors";
    case ModelForm::kLlama2c:
      return "llama2c";
  }
  return "unknown";
}

Result<ModelForm> detect_form(const std::string& path) {
  if (directory_exists(path)) return ModelForm::kHfDirectory;
  PARE_ASSIGN_OR_RETURN(const auto file, MappedFile::open(path));
  const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()),
                               file->bytes().size());
  if (bytes.starts_with("GGUF")) return ModelForm::kGguf;
  if (looks_like_safetensors(bytes)) return ModelForm::kSafetensors;
  if (llama2c::File::recognises(file->bytes())) return ModelForm::kLlama2c;
  for (const Known& other : kOthers) {
    if (bytes.starts_with(other.magic)) return unsupported("{}: is {}", path, other.what);
  }
  if (path.ends_with(".onnx")) {
    return unsupported("{}: is an ONNX file, which cannot be read yet", path);
  }
  return unsupported(
      "{}: is not a model that can be read (a GGUF or safetensors file, or a Hugging Face "
      "directory)",
      path);
}

}  // namespace pare
