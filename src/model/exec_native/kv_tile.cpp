#include "model/exec_native/kv_tile.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/exec_native/kv_tile.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "codecs/block_bytes.h"
#include "codecs/codec.h"
// clang-format off: after highway.h, once for each instruction set
#include "model/exec_native/kv_read-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(kv::Floats())); }

// Single numbers of forms of floats; others have whole blocks.
HWY_INLINE float one(CodecId form, const std::byte* in, int64_t i) {
  return form == CodecId::kF16 ? load_f16(in + 2 * i) : std::bit_cast<float>(load_u32(in + 4 * i));
}

void LoadKeyTile(CodecId form, const std::byte* tile, int64_t dim, float* out, int64_t stride) {
  const kv::Floats d;
  const int64_t pairs = dim / 2 * 2;
  kv::with_form(form, [&](auto of_form) HWY_ATTR {
    for (int64_t i = 0; i < kKeyTile; i += lanes()) {
      for (int64_t first = 0; first < pairs; first += 32) {
        const kv::Vector scale = of_form.key_scale(tile, dim, first, i);
        for (int64_t c = first; c < std::min(first + 32, pairs); c += 2) {
          kv::Vector even, odd;
          of_form.keys(tile, c, i, scale, &even, &odd);
          hn::StoreU(even, d, out + c * stride + i);
          hn::StoreU(odd, d, out + (c + 1) * stride + i);
        }
      }
    }
  });
  if (pairs == dim) return;
  for (int64_t i = 0; i < kKeyTile; ++i) {
    out[pairs * stride + i] = one(form, tile, pairs * kKeyTile + i);
  }
}

void LoadValueRow(CodecId form, const std::byte* row, int64_t dim, float* out) {
  const kv::Floats d;
  int64_t c = 0;
  kv::with_form(form, [&](auto of_form) HWY_ATTR {
    for (; c + lanes() <= dim; c += lanes()) hn::StoreU(of_form.value(row, c), d, out + c);
  });
  for (; c < dim; ++c) out[c] = one(form, row, c);
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
HWY_EXPORT(LoadKeyTile);
HWY_EXPORT(LoadValueRow);

std::span<const CodecId> kv_forms() {
  static constexpr CodecId kForms[] = {CodecId::kF32, CodecId::kF16, CodecId::kQ8_0,
                                       CodecId::kQ4_0};
  return kForms;
}

bool is_kv_form(CodecId form) { return std::ranges::find(kv_forms(), form) != kv_forms().end(); }

void store_key(CodecId form, const float* key, int64_t dim, int64_t slot, std::byte* tile) {
  if (form == CodecId::kF32) {
    for (int64_t c = 0; c < dim; ++c) {
      std::memcpy(tile + (c * kKeyTile + slot) * 4, key + c, sizeof(float));
    }
    return;
  }
  const Codec& codec_of_form = codec(form);
  thread_local std::vector<std::byte> row;
  row.resize(codec_of_form.row_bytes(dim));
  codec_of_form.encode_row(key, nullptr, row.data(), dim);
  const std::byte* in = row.data();
  if (form == CodecId::kF16) {
    for (int64_t c = 0; c < dim; ++c) {
      std::memcpy(tile + (c * kKeyTile + slot) * 2, in + 2 * c, 2);
    }
    return;
  }
  const bool bytes = form == CodecId::kQ8_0;
  std::byte* scales = tile + (bytes ? dim : dim / 2) * kKeyTile;
  for (int64_t c = 0; c < dim; c += 32, in += codec_of_form.block_bytes) {
    std::memcpy(scales + (c / 32 * kKeyTile + slot) * 2, in, 2);
    if (bytes) {
      for (int64_t i = 0; i < 32; ++i) tile[(c + i) * kKeyTile + slot] = in[2 + i];
      continue;
    }
    // The codec's byte holds columns i and i + 16.
    const auto level = [in](int64_t i) {
      return i < 16 ? in[2 + i] & std::byte{15} : in[2 + i - 16] >> 4;
    };
    for (int64_t i = 0; i < 32; i += 2) {
      tile[(c + i) / 2 * kKeyTile + slot] = level(i) | level(i + 1) << 4;
    }
  }
}

void store_value(CodecId form, const float* value, int64_t dim, std::byte* row) {
  codec(form).encode_row(value, nullptr, row, dim);
}

void load_key_tile(CodecId form, const std::byte* tile, int64_t dim, float* out, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(LoadKeyTile)(form, tile, dim, out, stride);
}
void load_value_row(CodecId form, const std::byte* row, int64_t dim, float* out) {
  HWY_DYNAMIC_DISPATCH(LoadValueRow)(form, row, dim, out);
}

}  // namespace pare
#endif  // HWY_ONCE
