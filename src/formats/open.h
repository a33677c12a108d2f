// What kind of model a path holds, told from its content and not from its name.
#pragma once

#include <string>

#include "base/status.h"

namespace pare {

enum class ModelForm { kGguf, kHfDirectory, kSafetensors, kLlama2c };

const char* model_form_name(ModelForm form);  // "gguf", "hf", "safetensors", "llama2c"

// Errors say what the file is instead, where that can be told (pickled PyTorch weights, ONNX,
// the formats before GGUF).
Result<ModelForm> detect_form(const std::string& path);

}  // namespace pare
