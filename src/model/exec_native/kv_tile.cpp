#include "model/exec_native/kv_tile.h"

#include <algorithm>
#include <cstring>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "model/exec_native/kv_tile.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "codecs/block_bytes.h"
#include "codecs/codec.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most one tile's row in a vector.
using Floats = hn::CappedTag<float, kKeyTile>;
using Vector = hn::Vec<Floats>;
using Halves = hn::Rebind<hwy::float16_t, Floats>;
using Ints = hn::Rebind<int32_t, Floats>;
using Bytes = hn::Rebind<int8_t, Floats>;
using UBytes = hn::Rebind<uint8_t, Floats>;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(Floats())); }

HWY_INLINE Vector halves(const std::byte* in, int64_t i) {
  return hn::PromoteTo(Floats(),
                       hn::LoadU(Halves(), reinterpret_cast<const hwy::float16_t*>(in) + i));
}

HWY_INLINE Vector levels(const std::byte* in, int64_t i) {
  const auto bytes = hn::LoadU(Bytes(), reinterpret_cast<const int8_t*>(in) + i);
  return hn::ConvertTo(Floats(), hn::PromoteTo(Ints(), bytes));
}

// The two levels of each byte, less 8.
HWY_INLINE void nibbles(const std::byte* in, int64_t i, Vector* low, Vector* high) {
  const Ints di;
  const auto bytes =
      hn::PromoteTo(di, hn::LoadU(UBytes(), reinterpret_cast<const uint8_t*>(in) + i));
  const auto eight = hn::Set(di, 8);
  *low = hn::ConvertTo(Floats(), hn::Sub(hn::And(bytes, hn::Set(di, 15)), eight));
  *high = hn::ConvertTo(Floats(), hn::Sub(hn::ShiftRight<4>(bytes), eight));
}

void LoadKeyTile(CodecId form, const std::byte* tile, int64_t dim, float* out, int64_t stride) {
  const Floats d;
  for (int64_t i = 0; i < kKeyTile; i += lanes()) {
    if (form == CodecId::kF32) {
      const auto* in = reinterpret_cast<const float*>(tile);
      for (int64_t c = 0; c < dim; ++c) {
        hn::StoreU(hn::LoadU(d, in + c * kKeyTile + i), d, out + c * stride + i);
      }
    } else if (form == CodecId::kF16) {
      for (int64_t c = 0; c < dim; ++c) {
        hn::StoreU(halves(tile, c * kKeyTile + i), d, out + c * stride + i);
      }
    } else if (form == CodecId::kQ8_0) {
      const std::byte* scales = tile + dim * kKeyTile;
      for (int64_t c = 0; c < dim; ++c) {
        const Vector scale = halves(scales, c / 32 * kKeyTile + i);
        hn::StoreU(hn::Mul(scale, levels(tile, c * kKeyTile + i)), d, out + c * stride + i);
      }
    } else {
      const std::byte* scales = tile + dim / 2 * kKeyTile;
      for (int64_t c = 0; c < dim; c += 2) {
        const Vector scale = halves(scales, c / 32 * kKeyTile + i);
        Vector low, high;
        nibbles(tile, c / 2 * kKeyTile + i, &low, &high);
        hn::StoreU(hn::Mul(scale, low), d, out + c * stride + i);
        hn::StoreU(hn::Mul(scale, high), d, out + (c + 1) * stride + i);
      }
    }
  }
}

void LoadValueRow(CodecId form, const std::byte* row, int64_t dim, float* out) {
  const Floats d;
  if (form == CodecId::kF32) {
    std::memcpy(out, row, static_cast<size_t>(dim) * sizeof(float));
  } else if (form == CodecId::kF16) {
    int64_t c = 0;
    for (; c + lanes() <= dim; c += lanes()) hn::StoreU(halves(row, c), d, out + c);
    for (; c < dim; ++c) out[c] = load_f16(row + 2 * c);
  } else if (form == CodecId::kQ8_0) {
    for (int64_t c = 0; c < dim; c += 32, row += 34, out += 32) {
      const Vector scale = hn::Set(d, load_f16(row));
      for (int64_t i = 0; i < 32; i += lanes()) {
        hn::StoreU(hn::Mul(scale, levels(row + 2, i)), d, out + i);
      }
    }
  } else {
    for (int64_t c = 0; c < dim; c += 32, row += 18, out += 32) {
      const Vector scale = hn::Set(d, load_f16(row));
      for (int64_t i = 0; i < 16; i += lanes()) {
        Vector low, high;
        nibbles(row + 2, i, &low, &high);
        hn::StoreU(hn::Mul(scale, low), d, out + i);
        hn::StoreU(hn::Mul(scale, high), d, out + 16 + i);
      }
    }
  }
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
