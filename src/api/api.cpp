#include "api/model_impl.h"
#include "codecs/codec.h"
#include "serve/chat.h"

namespace pare::api {

Error to_error(const Status& status) {
  if (status.ok()) return {};
  return {status_code_name(status.code()), status.message()};
}

const char* version() { return PARE_VERSION; }

Model::Model(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Model::~Model() = default;

std::unique_ptr<Model> Model::open(const std::string& path, Error* error) {
  auto opened = open_model(path);
  *error = to_error(opened.status());
  if (!opened.ok()) return nullptr;
  auto impl = std::make_unique<Impl>();
  impl->model = std::make_shared<const pare::Model>(std::move(opened).value());
  for (const TensorInfo& t : impl->model->tensors->tensors()) {
    impl->tensors.push_back({.name = t.name,
                             .type = codec(t.codec).name,
                             .shape = {t.shape.dims().begin(), t.shape.dims().end()},
                             .bytes = t.bytes});
  }
  auto tokenizer = Tokenizer::from_gguf(impl->model->metadata);
  impl->tokenizer_error = to_error(tokenizer.status());
  if (tokenizer.ok()) impl->tokenizer = std::move(tokenizer).value();
  return std::unique_ptr<Model>(new Model(std::move(impl)));
}

const std::string& Model::architecture() const { return impl_->model->desc.arch; }
const std::vector<Tensor>& Model::tensors() const { return impl_->tensors; }

Error Model::read(size_t index, std::vector<float>* values) const {
  if (index >= impl_->tensors.size()) {
    return to_error(invalid_argument("{}: there is no tensor {}", impl_->model->path, index));
  }
  const auto packed = impl_->model->tensors->read(index);
  if (!packed.ok()) return to_error(packed.status().with_context(impl_->tensors[index].name));
  const Codec& from = codec(packed->codec);
  if (from.decode_row == nullptr) {
    return to_error(
        unsupported("{}: {} cannot be dequantized", impl_->tensors[index].name, from.name));
  }
  const int64_t rows = packed->shape.rows(), columns = packed->shape.columns();
  values->resize(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r) {
    from.decode_row(packed->row_bytes(r, 1).data(), values->data() + r * columns, columns);
  }
  return {};
}

Error Model::encode(std::string_view text, std::vector<int32_t>* ids) const {
  if (impl_->tokenizer == nullptr) return impl_->tokenizer_error;
  auto encoded = impl_->tokenizer->encode(text);
  if (!encoded.ok()) return to_error(encoded.status());
  *ids = std::move(encoded).value();
  return {};
}

Error Model::decode(const std::vector<int32_t>& ids, std::string* text) const {
  if (impl_->tokenizer == nullptr) return impl_->tokenizer_error;
  *text = impl_->tokenizer->decode(ids);
  return {};
}

Error Model::encode_chat(const std::vector<Message>& messages, std::vector<int32_t>* ids) const {
  if (impl_->tokenizer == nullptr) return impl_->tokenizer_error;
  const auto chat = ChatTemplate::of(*impl_->tokenizer);
  if (!chat.ok()) return to_error(chat.status().with_context(impl_->model->path));
  auto json = nlohmann::ordered_json::array();
  for (const Message& m : messages) json.push_back({{"role", m.role}, {"content", m.content}});
  const auto text = chat->render(json, {.add_generation_prompt = true});
  if (!text.ok()) return to_error(text.status());
  auto encoded = impl_->tokenizer->encode(*text, {.add_special = false, .parse_special = true});
  if (!encoded.ok()) return to_error(encoded.status());
  *ids = std::move(encoded).value();
  return {};
}

bool Model::is_end(int32_t id) const {
  return impl_->tokenizer != nullptr && impl_->tokenizer->is_end_of_generation(id);
}

int64_t Model::vocabulary() const { return impl_->model->desc.hparams.n_vocab; }
int64_t Model::context() const { return impl_->model->desc.hparams.n_context; }

}  // namespace pare::api
