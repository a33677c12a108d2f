#include "codecs/q8_1.h"

#include "codecs/block_bytes.h"

namespace pare {

Codec q8_1_codec() {
  return {.id = CodecId::kQ8_1,
          .name = "Q8_1",
          .block_len = 32,
          .block_bytes = 36,
          .gguf_type = 9,
          .fallback = std::nullopt,
          .error_bound = 0.0f,
          .grid = nullptr,
          .decode_row =
              [](const std::byte* in, float* out, int64_t n) {
                for (; n > 0; n -= 32, in += 36, out += 32) {
                  const float d = load_f16(in);
                  for (int i = 0; i < 32; ++i) out[i] = d * load_i8(in + 4 + i);
                }
              },
          .encode_row = nullptr};
}

}  // namespace pare
