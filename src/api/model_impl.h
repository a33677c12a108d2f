// What is behind the public Model: shared by the files of this room.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "model/exec_native/native_model.h"
#include "model/open.h"
#include "model/tokenizer/tokenizer.h"
#include "pare/pare.h"

namespace pare::api {

Error to_error(const Status& status);

struct Model::Impl {
  std::shared_ptr<const pare::Model> model;
  std::vector<Tensor> tensors;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: tokenizer_error says why
  Error tokenizer_error;

  std::mutex mutex;
  std::shared_ptr<const NativeModel> native;  // made for the first session
};

}  // namespace pare::api
