// Metadata of every architecture, with keys changed, removed and added: describing it succeeds or
// fails, and a description that comes out holds together.

#include <cstring>

#include "base/check.h"
#include "codecs/codec.h"
#include "model/arch/arch.h"

namespace {

using namespace pare;

constexpr const char* kSuffixes[] = {"block_count",
                                     "context_length",
                                     "embedding_length",
                                     "feed_forward_length",
                                     "vocab_size",
                                     "expert_count",
                                     "attention.head_count",
                                     "attention.head_count_kv",
                                     "attention.key_length",
                                     "attention.value_length",
                                     "attention.layer_norm_rms_epsilon",
                                     "attention.layer_norm_epsilon",
                                     "attention.scale",
                                     "attention.sliding_window",
                                     "attention.sliding_window_pattern",
                                     "attn_logit_softcapping",
                                     "final_logit_softcapping",
                                     "rope.dimension_count",
                                     "rope.freq_base",
                                     "rope.freq_base_swa",
                                     "rope.scale_linear",
                                     "rope.scaling.type",
                                     "rope.scaling.factor",
                                     "rope.scaling.attn_factor",
                                     "rope.scaling.original_context_length",
                                     "rope.scaling.yarn_attn_factor",
                                     "rope.scaling.yarn_beta_fast",
                                     "rope.scaling.yarn_beta_slow",
                                     "rope.scaling.yarn_ext_factor"};
constexpr const char* kTensors[] = {"token_embd.weight",
                                    "output.weight",
                                    "output.bias",
                                    "rope_freqs.weight",
                                    "rope_factors_long.weight",
                                    "rope_factors_short.weight",
                                    "blk.0.attn_q.bias",
                                    "blk.1.ffn_up.bias",
                                    "blk.0.attn_norm.weight"};

class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ >= size_; }
  uint8_t next() { return empty() ? 0 : data_[at_++]; }
  uint64_t word() {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value |= uint64_t{next()} << (8 * i);
    return value;
  }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

gguf::Value random_value(Bytes* in) {
  const uint8_t kind = in->next();
  const uint64_t word = kind < 16 ? in->word() : in->next();
  switch (kind % 8) {
    case 0:
      return gguf::Value(static_cast<uint32_t>(word));
    case 1:
      return gguf::Value(static_cast<int64_t>(word));
    case 2: {
      float value;
      const auto bits = static_cast<uint32_t>(word);
      std::memcpy(&value, &bits, sizeof(value));
      return gguf::Value(value);
    }
    case 3:
      return gguf::Value(static_cast<float>(word) / 4.0f);
    case 4:
      return gguf::Value(word % 2 == 1);
    case 5: {
      constexpr const char* kTexts[] = {"none", "linear", "yarn", "longrope", "", "x"};
      return gguf::Value(kTexts[word % 6]);
    }
    case 6:
      return gguf::Value(gguf::Array::of(std::vector<uint32_t>(word % 5, in->next())));
    default:
      return gguf::Value(static_cast<uint32_t>(1 + word % 64));
  }
}

void check_description(const ModelDesc& desc) {
  const auto tensors = static_cast<int32_t>(desc.tensors.size());
  PARE_CHECK(static_cast<int64_t>(desc.graph.blocks.size()) == desc.hparams.n_block, "blocks");
  for (const OpList& ops : desc.graph.blocks) {
    for (const Op& op : ops) {
      PARE_CHECK(op.weight >= -1 && op.weight < tensors, "an operation without its weight");
      PARE_CHECK(op.bias >= -1 && op.bias < tensors, "an operation without its bias");
      PARE_CHECK(op.kind != OpKind::kLinear || op.weight >= 0, "a linear operation of nothing");
    }
  }
  for (const Site& site : desc.sites) {
    PARE_CHECK(!site.readers.empty() && site.width > 0, "a site that nobody reads");
    for (int32_t reader : site.readers) {
      PARE_CHECK(desc.tensors[static_cast<size_t>(reader)].shape.columns() == site.width,
                 "readers of one value with different widths");
    }
  }
  for (const Coupling& coupling : desc.couplings) {
    PARE_CHECK(coupling.from >= 0 && coupling.from < tensors && !coupling.to.empty(),
               "a coupling of nothing");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes in(data, size);
  const auto all = all_architectures();
  const Architecture& arch = *all[in.next() % all.size()];
  gguf::Metadata metadata;
  metadata.set("general.architecture", gguf::Value(arch.name));
  const auto key = [&](const char* suffix) { return std::string(arch.name) + "." + suffix; };
  constexpr std::pair<const char*, uint32_t> kBase[] = {
      {"block_count", 2},          {"context_length", 64},      {"embedding_length", 32},
      {"feed_forward_length", 48}, {"attention.head_count", 4}, {"attention.head_count_kv", 2}};
  for (const auto& [suffix, value] : kBase) metadata.set(key(suffix), value);
  metadata.set(key("attention.layer_norm_rms_epsilon"), 1e-5f);
  metadata.set(key("attention.layer_norm_epsilon"), 1e-5f);

  std::vector<TensorInfo> tensors;
  const uint16_t present = static_cast<uint16_t>(in.next() | in.next() << 8);
  for (size_t i = 0; i < std::size(kTensors); ++i) {
    if (i == 0 || (present >> i & 1)) tensors.push_back({kTensors[i], {64, 32}, CodecId::kF32, 0});
  }
  tensors.push_back({"padding", Shape{1}, CodecId::kF32, 0});
  while (!in.empty()) {
    const char* suffix = kSuffixes[in.next() % std::size(kSuffixes)];
    if (in.next() % 8 == 0) {
      metadata.erase(key(suffix));
    } else {
      metadata.set(key(suffix), random_value(&in));
    }
  }
  const Result<ModelDesc> desc = describe_model(metadata, tensors);
  if (!desc.ok()) return 0;
  check_description(*desc);
  (void)check_tensors(*desc, tensors, "file");
  nlohmann::json config;
  (void)arch.config_from_metadata(KeyReader(metadata, arch.name), *desc, &config);
  return 0;
}
