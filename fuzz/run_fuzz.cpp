// Models of every architecture and type with weights of any bytes, loaded and run for a few tokens:
// whatever comes out (NaN included), nothing is read or written where it should not be.
//
// Input: architecture, type, form of the cache, tweaks of six hyper-parameters, then the bytes that
// every tensor repeats.

#include <algorithm>
#include <cstring>

#include "codecs/codec.h"
#include "model/arch/arch.h"
#include "model/exec_native/session.h"

namespace {

using namespace pare;

class RepeatedBytes final : public TensorSource {
 public:
  RepeatedBytes(std::vector<TensorInfo> infos, std::vector<std::byte> pattern)
      : infos_(std::move(infos)), pattern_(std::move(pattern)) {}
  std::span<const TensorInfo> tensors() const override { return infos_; }
  Result<PackedTensor> read(size_t index) const override {
    const TensorInfo& info = infos_[index];
    auto bytes = std::make_shared<std::vector<std::byte>>(info.bytes);
    for (size_t i = 0; i < bytes->size(); ++i) (*bytes)[i] = pattern_[i % pattern_.size()];
    return PackedTensor{info.codec, info.shape, *bytes, bytes};
  }

 private:
  std::vector<TensorInfo> infos_;
  std::vector<std::byte> pattern_;
};

std::vector<TensorInfo> tensors_of(const ModelDesc& desc, const Codec& type) {
  std::vector<TensorInfo> infos;
  for (const TensorDesc& tensor : desc.tensors) {
    const bool coded = tensor.quantizable && type.divides(tensor.shape.columns());
    const Codec& c = coded ? type : codec(CodecId::kF32);
    infos.push_back({tensor.name, tensor.shape, c.id, c.tensor_bytes(tensor.shape)});
  }
  return infos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 10) return 0;
  const auto all = all_architectures();
  const Architecture& arch = *all[data[0] % all.size()];
  const Codec& type = all_codecs()[data[1] % all_codecs().size()];
  gguf::Metadata metadata;
  metadata.set("general.architecture", gguf::Value(arch.name));
  const auto set = [&](const char* suffix, auto value) {
    metadata.set(std::string(arch.name) + "." + suffix, gguf::Value(value));
  };
  set("block_count", uint32_t{1} + data[3] % 2);
  set("context_length", uint32_t{1} + data[4] % 16);
  set("embedding_length", uint32_t{256});
  set("feed_forward_length", uint32_t{256});
  set("attention.head_count", uint32_t{1} << data[5] % 4);
  set("attention.head_count_kv", uint32_t{1} << data[5] / 4 % 3);
  set("attention.sliding_window", uint32_t{data[6]});
  set("rope.freq_base", static_cast<float>(data[7]) - 8.0f);
  set("attention.layer_norm_rms_epsilon", static_cast<float>(data[8]) / 64.0f);
  set("attention.layer_norm_epsilon", static_cast<float>(data[8]) / 64.0f);

  const std::vector<TensorInfo> embedding = {{"token_embd.weight", {64, 256}, CodecId::kF32, 0},
                                             {"padding", Shape{1}, CodecId::kF32, 0}};
  Result<ModelDesc> desc = describe_model(metadata, embedding);
  if (!desc.ok()) return 0;
  auto model = std::make_shared<Model>();
  model->path = "memory";
  std::vector<std::byte> pattern(size - 9);
  std::memcpy(pattern.data(), data + 9, pattern.size());
  model->tensors = std::make_shared<RepeatedBytes>(tensors_of(*desc, type), std::move(pattern));
  model->desc = std::move(desc).value();
  auto index = check_tensors(model->desc, model->tensors->tensors(), "memory");
  if (!index.ok()) return 0;
  model->source_index = std::move(index).value();
  const auto native = NativeModel::load(model);
  if (!native.ok()) return 0;
  ThreadPool pool(1);
  const auto session =
      Session::create(*native, pool, {.kv = kv_forms()[data[2] % kv_forms().size()]});
  if (!session.ok()) return 0;
  std::vector<float> logits(64);
  const int32_t tokens[] = {data[2] % 64, 63, 0, 7, 70};
  (void)(*session)->forward(std::span(tokens, 3), logits);
  (*session)->rewind(2);
  (void)(*session)->forward(std::span(tokens, 1), logits);
  (void)(*session)->forward(tokens, logits);
  return 0;
}
