// Writes a small valid input of every kind: DIRECTORY/NAME/* for every target. Seeds for fuzzing,
// and what the replay tests run on.

#include <cstdio>
#include <cstring>
#include <filesystem>

#include "codecs/codec.h"
#include "formats/gguf/writer.h"
#include "formats/safetensors/writer.h"

namespace {

using namespace pare;

std::string g_directory;

Status save(const std::string& name, std::string_view bytes) {
  const std::filesystem::path path = std::filesystem::path(g_directory) / name;
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  return write_text_atomically(path.string(), bytes);
}

Status save_plan(const std::string& name, const Result<FileSet>& plan) {
  PARE_RETURN_IF_ERROR(plan.status());
  std::string bytes = plan->files[0].header;
  bytes.resize(plan->bytes(), '\1');
  return save(name, bytes);
}

template <typename T>
gguf::Array array(std::vector<T> numbers) {
  return gguf::Array::of(numbers);
}

Status gguf_seeds() {
  gguf::Metadata scalars;
  scalars.set("u8", uint8_t{1});
  scalars.set("i8", int8_t{-1});
  scalars.set("u16", uint16_t{2});
  scalars.set("i16", int16_t{-2});
  scalars.set("u32", uint32_t{3});
  scalars.set("i32", int32_t{-3});
  scalars.set("u64", uint64_t{4});
  scalars.set("i64", int64_t{-4});
  scalars.set("f32", 0.5f);
  scalars.set("f64", 0.25);
  scalars.set("bool", true);
  scalars.set("string", "text");
  PARE_RETURN_IF_ERROR(save_plan("gguf/scalars", gguf::plan_files("", scalars, {})));

  gguf::Metadata arrays;
  arrays.set("general.alignment", uint32_t{8});
  arrays.set("u8", array<uint8_t>({1, 2}));
  arrays.set("i32", array<int32_t>({1, -2}));
  arrays.set("f32", array<float>({1.0f, -2.0f}));
  arrays.set("u64", array<uint64_t>({}));
  arrays.set("strings", gguf::Array::of(std::vector<std::string>{"a", "", "bcd"}));
  std::vector<TensorInfo> tensors = {{"a", {2, 3}, CodecId::kF32}, {"b", {}, CodecId::kF16}};
  PARE_RETURN_IF_ERROR(save_plan("gguf/arrays", gguf::plan_files("", arrays, tensors)));

  tensors.clear();
  for (const Codec& c : all_codecs()) {
    if (c.gguf_type >= 0) tensors.push_back({c.name, {2, c.block_len}, c.id});
  }
  return save_plan("gguf/codecs", gguf::plan_files("", {}, tensors));
}

Status safetensors_seeds() {
  using safetensors::Dtype;
  const std::vector<safetensors::TensorSpec> all = {
      {"f32", Dtype::kF32, {2, 3}}, {"bf16", Dtype::kBF16, {1, 2, 3}}, {"u8", Dtype::kU8, {5}},
      {"f4", Dtype::kF4, {2}},      {"scalar", Dtype::kI64, {}},       {"none", Dtype::kF16, {0}}};
  safetensors::LayoutOptions options;
  options.metadata = {{"format", "pt"}};
  PARE_RETURN_IF_ERROR(
      save_plan("safetensors/all", safetensors::plan_files("m.safetensors", all, options)));
  return save_plan("safetensors/empty", safetensors::plan_files("m.safetensors", {}));
}

Status safetensors_index_seeds() {
  PARE_RETURN_IF_ERROR(save("safetensors_index/all", R"({"metadata":{"total_size":42},"weight_map":
{"x":"a.safetensors","y":"a.safetensors","z":"b.safetensors"}})"));
  PARE_RETURN_IF_ERROR(save("safetensors_index/some", R"({"weight_map":{"z":"b.safetensors"}})"));
  PARE_RETURN_IF_ERROR(
      save("safetensors_index/outside", R"({"weight_map":{"z":"../b.safetensors"}})"));
  return save("safetensors_index/missing", R"({"weight_map":{"w":"c.safetensors"}})");
}

// The smallest model: a vocabulary of three, with and without an output matrix of its own.
Status llama2c_seeds() {
  const auto words = [](std::initializer_list<int32_t> numbers) {
    std::string bytes;
    for (int32_t n : numbers) bytes.append(reinterpret_cast<const char*>(&n), sizeof n);
    return bytes;
  };
  std::string tokens = words({5});
  for (const char* text : {"<unk>", "<s>", "</s>"}) {
    tokens += words({0, static_cast<int32_t>(std::strlen(text))}) + text;
  }
  const std::string length{static_cast<char>(tokens.size()), '\0'};
  // Floats: embedding 12, norms 8, q and output 32, k and v 16, ffn 48, last norm 4, tables 8.
  const std::string tied = words({4, 4, 1, 2, 1, 3, 4}) + std::string(4 * 128, '\1');
  PARE_RETURN_IF_ERROR(save("llama2c/tied", length + tokens + tied));
  PARE_RETURN_IF_ERROR(save("llama2c/no-tokens", std::string(2, '\0') + tied));
  const std::string untied = words({4, 4, 1, 2, 1, -3, 4}) + std::string(4 * 140, '\1');
  return save("llama2c/untied", length + tokens + untied);
}

Status config_seeds() {
  PARE_RETURN_IF_ERROR(save("hf_config/llama", R"({"architectures":["LlamaForCausalLM"],
"model_type":"llama","hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,
"num_attention_heads":4,"num_key_value_heads":2,"vocab_size":100,"max_position_embeddings":256,
"rms_norm_eps":1e-5,"rope_theta":10000.0,"tie_word_embeddings":true,"head_dim":16,
"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
"original_max_position_embeddings":128},"attention_bias":false,"hidden_act":"silu"})"));
  PARE_RETURN_IF_ERROR(save("hf_config/gemma3", R"({"architectures":["Gemma3ForCausalLM"],
"model_type":"gemma3_text","hidden_size":64,"intermediate_size":128,"num_hidden_layers":6,
"num_attention_heads":4,"num_key_value_heads":1,"vocab_size":100,"max_position_embeddings":256,
"rms_norm_eps":1e-6,"rope_theta":1000000.0,"rope_local_base_freq":10000.0,"head_dim":16,
"sliding_window":32,"sliding_window_pattern":6,"query_pre_attn_scalar":16,
"hidden_activation":"gelu_pytorch_tanh"})"));
  return save("hf_config/gpt2", R"({"architectures":["GPT2LMHeadModel"],"model_type":"gpt2",
"n_embd":64,"n_head":4,"n_layer":2,"n_positions":128,"n_ctx":128,"vocab_size":100,"n_inner":null,
"layer_norm_epsilon":1e-5,"activation_function":"gelu_new"})");
}

// One per architecture, as it is and with a key changed (arch_fuzz.cpp: architecture, two bytes of
// tensors that are there, then keys with their values).
Status arch_seeds() {
  for (char arch = 0; arch < 7; ++arch) {
    const std::string start{arch, '\x3b', '\x00'};
    PARE_RETURN_IF_ERROR(save(fmt::format("arch/{}-plain", int{arch}), start));
    for (char key = 0; key < 29; ++key) {
      const std::string change = start + std::string{key, '\x01', '\x17', '\x08'};
      PARE_RETURN_IF_ERROR(save(fmt::format("arch/{}-{}", int{arch}, int{key}), change));
    }
  }
  return {};
}

// Every architecture, and every type with both small and wild weights (run_fuzz.cpp).
Status run_seeds() {
  for (char choice = 0; choice < 40; ++choice) {
    const char arch = static_cast<char>(choice % 7), form = static_cast<char>(choice % 4);
    const std::string start{arch, choice, form, '\1', '\17', '\5', '\2', '\100', '\1'};
    PARE_RETURN_IF_ERROR(save(fmt::format("run/{}-small", int{choice}), start + "\x11\x2e\x05"));
    PARE_RETURN_IF_ERROR(
        save(fmt::format("run/{}-wild", int{choice}), start + "\xff\x7f\x80\xc1\x01\xfe\x90"));
  }
  return {};
}

Status text_seeds() {
  PARE_RETURN_IF_ERROR(save("jinja/chat",
                            "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}"
                            "{% if loop.last and add_generation_prompt %}<|a|>{% endif %}"
                            "{% endfor %}{{ tools | tojson }}"));
  PARE_RETURN_IF_ERROR(save("jinja/macro",
                            "{% macro f(x, y=2) %}{{ x ~ y }}{% endmacro %}"
                            "{% set ns = namespace(n=0) %}{% for i in range(3) %}"
                            "{% set ns.n = ns.n + i %}{% endfor %}{{ f(ns.n) }}"));
  for (char choice = 0; choice < 40; ++choice) {
    PARE_RETURN_IF_ERROR(
        save(fmt::format("tokenizer/text-{}", int{choice}),
             std::string{'\2', choice} + "abc  don't 12345\n\t\xc3\xa9 <|end|> x"));
  }
  return save("tokenizer/json", std::string("\0\0", 2) + R"({"model":{"type":"BPE",
"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},"added_tokens":[]})");
}

Status make_all() {
  PARE_RETURN_IF_ERROR(text_seeds());
  PARE_RETURN_IF_ERROR(gguf_seeds());
  PARE_RETURN_IF_ERROR(run_seeds());
  PARE_RETURN_IF_ERROR(safetensors_seeds());
  PARE_RETURN_IF_ERROR(safetensors_index_seeds());
  PARE_RETURN_IF_ERROR(llama2c_seeds());
  PARE_RETURN_IF_ERROR(arch_seeds());
  return config_seeds();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds DIRECTORY\n");
    return 2;
  }
  g_directory = argv[1];
  const Status status = make_all();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
