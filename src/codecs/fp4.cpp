#include "codecs/fp4.h"

#include "codecs/block_bytes.h"
#include "codecs/fp4_fit.h"

namespace pare {

void decode_fp4(const Fp4Format& format, const std::byte* in, float* out, int64_t n) {
  const int half = format.group_len / 2;
  for (; n > 0; n -= format.block_len, in += format.block_bytes) {
    const std::byte* nibbles = in + format.groups();
    for (int g = 0; g < format.groups(); ++g, nibbles += half, out += format.group_len) {
      const float scale = format.scales[load_u8(in + g)];
      for (int j = 0; j < half; ++j) {
        const uint8_t byte = load_u8(nibbles + j);
        out[j] = scale * kFp4Levels[byte & 15];
        out[j + half] = scale * kFp4Levels[byte >> 4];
      }
    }
  }
}

void encode_fp4(const Fp4Format& format, const float* in, const float* importance, std::byte* out,
                int64_t n) {
  const int half = format.group_len / 2;
  for (; n > 0; n -= format.block_len, out += format.block_bytes) {
    std::byte* nibbles = out + format.groups();
    for (int g = 0; g < format.groups(); ++g, nibbles += half, in += format.group_len) {
      const int code = fit_fp4_scale(format, in, importance);
      if (importance != nullptr) importance += format.group_len;
      uint8_t codes[Fp4Format::kMaxGroup];
      round_fp4(in, format.group_len, format.scales[code], codes);
      store_u8(out + g, static_cast<uint32_t>(code));
      for (int j = 0; j < half; ++j) {
        store_u8(nibbles + j, static_cast<uint32_t>(codes[j] | codes[j + half] << 4));
      }
    }
  }
}

void Fp4Grid::fit(const float* x, const float* importance, SpanParams* params) const {
  *params = SpanParams{};
  for (int g = 0; g < format_.groups(); ++g, x += format_.group_len) {
    const int code = fit_fp4_scale(format_, x, importance);
    if (importance != nullptr) importance += format_.group_len;
    params->scale_code[static_cast<size_t>(g)] = static_cast<int16_t>(code);
    params->scale[static_cast<size_t>(g)] = format_.scales[code];
  }
}

int32_t Fp4Grid::round(const SpanParams& params, int column, const float* x,
                       const float* /*importance*/, float* values_out) const {
  const float one[16] = {*x};
  uint8_t codes[16];
  round_fp4(one, 16, params.scale[static_cast<size_t>(column / format_.group_len)], codes);
  const int32_t code = codes[0];
  values(params, column, code, values_out);
  return code;
}

void Fp4Grid::values(const SpanParams& params, int column, int32_t code, float* out) const {
  *out = params.scale[static_cast<size_t>(column / format_.group_len)] *
         kFp4Levels[static_cast<size_t>(code)];
}

void Fp4Grid::pack(const SpanParams& params, const int32_t* codes, std::byte* out) const {
  const int half = format_.group_len / 2;
  std::byte* nibbles = out + format_.groups();
  for (int g = 0; g < format_.groups(); ++g, nibbles += half, codes += format_.group_len) {
    store_u8(out + g, static_cast<uint32_t>(params.scale_code[static_cast<size_t>(g)]));
    for (int j = 0; j < half; ++j) {
      store_u8(nibbles + j, static_cast<uint32_t>(codes[j] | codes[j + half] << 4));
    }
  }
}

void Fp4Grid::unpack(const std::byte* in, SpanParams* params, int32_t* codes) const {
  const int half = format_.group_len / 2;
  const std::byte* nibbles = in + format_.groups();
  for (int g = 0; g < format_.groups(); ++g, nibbles += half, codes += format_.group_len) {
    const uint8_t code = load_u8(in + g);
    params->scale_code[static_cast<size_t>(g)] = code;
    params->scale[static_cast<size_t>(g)] = format_.scales[code];
    for (int j = 0; j < half; ++j) {
      const uint8_t byte = load_u8(nibbles + j);
      codes[j] = byte & 15;
      codes[j + half] = byte >> 4;
    }
  }
}

}  // namespace pare
