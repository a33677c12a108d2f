// The lattice formats: IQ1, IQ2 and IQ3. Layouts: codecs/iq1_s.cpp and its neighbours.
#pragma once

#include "kernels/cuda/units_legacy.h"

namespace pare::cuda {

// Eight columns of one entry of a codebook, with a byte of signs.
PARE_HD void put_eight(const uint8_t* entry, uint32_t signs, int place, Unit* out) {
  const uint64_t levels = load8(entry);
  out->level[2 * place] = negate_bytes(static_cast<uint32_t>(levels), signs);
  out->level[2 * place + 1] = negate_bytes(static_cast<uint32_t>(levels >> 32), signs >> 4);
}
PARE_HD float lattice_scale(float d, uint32_t code, float factor) {
  return d * (0.5f + static_cast<float>(code)) * factor;
}

struct IQ2_XXS : PlainColumns {
  static constexpr CodecId kId = CodecId::kIQ2_XXS;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 64});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books& books, Unit* out) {
    const uint64_t group = load8(b.field[1] + 8 * unit);
    const auto word = static_cast<uint32_t>(group >> 32);
    for (int u = 0; u < 4; ++u) {
      const auto index = static_cast<uint32_t>(group >> (8 * u)) & 255u;
      put_eight(books.iq2_xxs + 8 * index, even_signs(word >> (7 * u) & 127u), u, out);
    }
    set_scales(out, lattice_scale(half_to_float(load2(b.field[0])), word >> 28, 0.25f), 0.0f);
  }
};

struct IQ2_XS : PlainColumns {
  static constexpr CodecId kId = CodecId::kIQ2_XS;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 64}, {66, 8});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books& books, Unit* out) {
    const uint64_t words = load8(b.field[1] + 8 * unit);
    for (int u = 0; u < 4; ++u) {
      const auto word = static_cast<uint32_t>(words >> (16 * u)) & 0xffffu;
      put_eight(books.iq2_xs + 8 * (word & 511u), even_signs(word >> 9), u, out);
    }
    const uint32_t code = load1(b.field[2] + unit);
    const float d = half_to_float(load2(b.field[0]));
    out->scale[0] = lattice_scale(d, code & 15u, 0.25f);
    out->scale[1] = lattice_scale(d, code >> 4, 0.25f);
    out->offset[0] = out->offset[1] = 0.0f;
  }
};

struct IQ2_S : PlainColumns {
  static constexpr CodecId kId = CodecId::kIQ2_S;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 32}, {34, 32}, {66, 8}, {74, 8});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books& books, Unit* out) {
    const uint32_t indices = load4(b.field[1] + 4 * unit), signs = load4(b.field[2] + 4 * unit);
    const uint32_t high = load1(b.field[3] + unit), code = load1(b.field[4] + unit);
    for (int u = 0; u < 4; ++u) {
      const uint32_t index = (indices >> (8 * u) & 255u) | (high >> (2 * u) & 3u) << 8;
      put_eight(books.iq2_s + 8 * index, signs >> (8 * u) & 255u, u, out);
    }
    const float d = half_to_float(load2(b.field[0]));
    out->scale[0] = lattice_scale(d, code & 15u, 0.25f);
    out->scale[1] = lattice_scale(d, code >> 4, 0.25f);
    out->offset[0] = out->offset[1] = 0.0f;
  }
};

struct IQ3_XXS : PlainColumns {
  static constexpr CodecId kId = CodecId::kIQ3_XXS;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 64}, {66, 32});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books& books, Unit* out) {
    const uint64_t indices = load8(b.field[1] + 8 * unit);
    const uint32_t word = load4(b.field[2] + 4 * unit);
    for (int i = 0; i < 8; ++i) {
      const auto index = static_cast<uint32_t>(indices >> (8 * i)) & 255u;
      const uint32_t signs = even_signs(word >> (7 * (i >> 1)) & 127u);
      out->level[i] = negate_bytes(load4(books.iq3_xxs + 4 * index), signs >> (4 * (i & 1)));
    }
    set_scales(out, lattice_scale(half_to_float(load2(b.field[0])), word >> 28, 0.5f), 0.0f);
  }
};

struct IQ3_S : PlainColumns {
  static constexpr CodecId kId = CodecId::kIQ3_S;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 64}, {66, 8}, {74, 32}, {106, 4});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books& books, Unit* out) {
    const uint64_t indices = load8(b.field[1] + 8 * unit);
    const uint32_t high = load1(b.field[2] + unit), signs = load4(b.field[3] + 4 * unit);
    for (int i = 0; i < 8; ++i) {
      const uint32_t low = static_cast<uint32_t>(indices >> (8 * i)) & 255u;
      const uint32_t index = low | (high >> i & 1u) << 8;
      out->level[i] = negate_bytes(load4(books.iq3_s + 4 * index), signs >> (4 * i));
    }
    const uint32_t code = load1(b.field[4] + (unit >> 1)) >> (4 * (unit & 1)) & 15u;
    set_scales(out, lattice_scale(half_to_float(load2(b.field[0])), code, 2.0f), 0.0f);
  }
};

// IQ1: levels are eight times the codebook's values, and a shift of one up or down.
PARE_HD void put_iq1(const uint8_t* entry, bool down, int place, Unit* out) {
  const uint64_t values = load8(entry);
  for (int i = 0; i < 2; ++i) {
    const auto v = static_cast<uint32_t>(values >> (32 * i));  // bytes 0, 1 or 255
    // 8 v + 9 without carries between bytes (1, 9 or 17), then less by 8 or 10 in each byte.
    const uint32_t plus = ((v & 0x01010101u) << 3) + 0x09090909u - ((v & 0x02020202u) << 3);
    const uint32_t less = down ? 0x0a0a0a0au : 0x08080808u;
    out->level[2 * place + i] = ((plus | 0x80808080u) - less) ^ 0x80808080u;
  }
}

struct IQ1_S : PlainColumns {
  static constexpr CodecId kId = CodecId::kIQ1_S;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 32}, {34, 16});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books& books, Unit* out) {
    const uint32_t indices = load4(b.field[1] + 4 * unit), word = load2(b.field[2] + 2 * unit);
    for (int u = 0; u < 4; ++u) {
      const uint32_t index = (indices >> (8 * u) & 255u) | (word >> (3 * u) & 7u) << 8;
      put_iq1(books.iq1 + 8 * index, word >> 15 != 0, u, out);
    }
    const float d = half_to_float(load2(b.field[0]));
    set_scales(out, lattice_scale(d, word >> 12 & 7u, 2.0f) * 0.125f, 0.0f);
  }
};

struct IQ1_M : PlainColumns {
  static constexpr CodecId kId = CodecId::kIQ1_M;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 32}, {32, 16}, {48, 8});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books& books, Unit* out) {
    const uint32_t indices = load4(b.field[0] + 4 * unit), high = load2(b.field[1] + 2 * unit);
    for (int u = 0; u < 4; ++u) {
      const uint32_t nibble = high >> (4 * u) & 15u;
      const uint32_t index = (indices >> (8 * u) & 255u) | (nibble & 7u) << 8;
      put_iq1(books.iq1 + 8 * index, (nibble & 8u) != 0, u, out);
    }
    // Four words: four 3-bit scales each, and a nibble of d on top.
    const uint64_t words = load8(b.field[2]);
    uint32_t d_bits = 0;
    for (int w = 0; w < 4; ++w) {
      d_bits |= (static_cast<uint32_t>(words >> (16 * w)) >> 12 & 15u) << (4 * w);
    }
    const auto scales = static_cast<uint32_t>(words >> (16 * (unit >> 1) + 6 * (unit & 1)));
    const float d = half_to_float(d_bits);
    for (int g = 0; g < 2; ++g) {
      out->scale[g] = lattice_scale(d, scales >> (3 * g) & 7u, 2.0f) * 0.125f;
      out->offset[g] = 0.0f;
    }
  }
};

}  // namespace pare::cuda
