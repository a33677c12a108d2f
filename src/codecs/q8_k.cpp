#include "codecs/q8_k.h"

#include <bit>

#include "codecs/block_bytes.h"

namespace pare {

Codec q8_k_codec() {
  return {.id = CodecId::kQ8_K,
          .name = "Q8_K",
          .block_len = 256,
          .block_bytes = 292,
          .gguf_type = 15,
          .fallback = std::nullopt,
          .error_bound = 0.0f,
          .grid = nullptr,
          .decode_row =
              [](const std::byte* in, float* out, int64_t n) {
                for (; n > 0; n -= 256, in += 292, out += 256) {
                  const float d = std::bit_cast<float>(load_u32(in));
                  for (int i = 0; i < 256; ++i) out[i] = d * load_i8(in + 4 + i);
                }
              },
          .encode_row = nullptr};
}

}  // namespace pare
