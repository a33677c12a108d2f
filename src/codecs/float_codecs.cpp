#include "codecs/float_codecs.h"

#include <cstring>

#include "codecs/convert.h"

namespace pare {
namespace {

// memcpy wants valid pointers even for nothing; an empty tensor has none.
void copy_words(const void* in, void* out, int64_t n) {
  if (n > 0) std::memcpy(out, in, static_cast<size_t>(n) * 4);
}

// Elements of type T, unaligned, converted one by one.
template <typename T>
void decode_numbers(const std::byte* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    T value;
    std::memcpy(&value, in + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    out[i] = static_cast<float>(value);
  }
}

void encode_f64(const float* in, const float* /*importance*/, std::byte* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double value = in[i];
    std::memcpy(out + 8 * i, &value, sizeof value);
  }
}

Codec line(CodecId id, const char* name, int bytes, int gguf_type, float error_bound,
           decltype(Codec::decode_row) decode, decltype(Codec::encode_row) encode) {
  return {.id = id,
          .name = name,
          .block_len = 1,
          .block_bytes = bytes,
          .gguf_type = gguf_type,
          .fallback = std::nullopt,
          .error_bound = error_bound,
          .grid = nullptr,
          .decode_row = decode,
          .encode_row = encode};
}

}  // namespace

Codec f32_codec() {
  return line(
      CodecId::kF32, "F32", 4, 0, 0.0f,
      [](const std::byte* in, float* out, int64_t n) { copy_words(in, out, n); },
      [](const float* in, const float*, std::byte* out, int64_t n) { copy_words(in, out, n); });
}

Codec f16_codec() {
  return line(
      CodecId::kF16, "F16", 2, 1, 0.00022f, fp16_to_floats,
      [](const float* in, const float*, std::byte* out, int64_t n) { floats_to_fp16(in, out, n); });
}

Codec bf16_codec() {
  return line(
      CodecId::kBF16, "BF16", 2, 30, 0.0018f, bf16_to_floats,
      [](const float* in, const float*, std::byte* out, int64_t n) { floats_to_bf16(in, out, n); });
}

Codec f64_codec() {
  return line(CodecId::kF64, "F64", 8, 28, 0.0f, decode_numbers<double>, encode_f64);
}

Codec i8_codec() { return line(CodecId::kI8, "I8", 1, 24, 0.0f, decode_numbers<int8_t>, nullptr); }
Codec i16_codec() {
  return line(CodecId::kI16, "I16", 2, 25, 0.0f, decode_numbers<int16_t>, nullptr);
}
Codec i32_codec() {
  return line(CodecId::kI32, "I32", 4, 26, 0.0f, decode_numbers<int32_t>, nullptr);
}
Codec i64_codec() {
  return line(CodecId::kI64, "I64", 8, 27, 0.0f, decode_numbers<int64_t>, nullptr);
}

}  // namespace pare
