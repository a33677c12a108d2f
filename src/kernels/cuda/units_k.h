// Codecs of 256 columns with integers as scales: Q2_K to Q6_K, IQ4_XS; and the ternary formats.
// Layouts: codecs/q2_k.cpp and its neighbours.
#pragma once

#include "kernels/cuda/units_legacy.h"

namespace pare::cuda {

struct Q2_K : PairColumns {
  static constexpr CodecId kId = CodecId::kQ2_K;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = true;
  PARE_FIELDS({0, 16}, {16, 64}, {80, 4});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    const Words4 q = load16(b.field[1] + 16 * (unit >> 1));
    const uint32_t head = load4(b.field[2]);
    const float d = half_to_float(head & 0xffffu), dmin = half_to_float(head >> 16);
    for (int g = 0; g < 2; ++g) {
      const int shift = 2 * (2 * (unit & 1) + g);
      for (int i = 0; i < 4; ++i) out->level[4 * g + i] = q.w[i] >> shift & 0x03030303u;
      const uint32_t code = load1(b.field[0] + column(unit, g) / 16);
      out->scale[g] = d * static_cast<float>(code & 15u);
      out->offset[g] = -(dmin * static_cast<float>(code >> 4));
    }
  }
};

struct Q3_K : PairColumns {
  static constexpr CodecId kId = CodecId::kQ3_K;
  static constexpr int kBlockLen = 256, kZero = 4;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 32}, {32, 64}, {96, 12}, {108, 2});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    const Words4 q = load16(b.field[1] + 16 * (unit >> 1));
    const Words4 high = load16(b.field[0] + 16 * (unit >> 1 & 1));
    const float d = half_to_float(load2(b.field[3]));
    for (int g = 0; g < 2; ++g) {
      const int j = 2 * (unit & 1) + g, bit = 4 * (unit >> 2) + j;
      for (int i = 0; i < 4; ++i) {
        out->level[4 * g + i] = (q.w[i] >> (2 * j) & 0x03030303u) | (high.w[i] >> bit & 0x01010101u)
                                                                        << 2;
      }
      const int group = column(unit, g) / 16, k = group >> 2, r = group & 3;
      const uint32_t low = load1(b.field[2] + 4 * (k & 1) + r) >> (4 * (k >> 1)) & 15u;
      const uint32_t top = load1(b.field[2] + 8 + r) >> (2 * k) & 3u;
      out->scale[g] = d * static_cast<float>(static_cast<int>(low | top << 4) - 32);
      out->offset[g] = 0.0f;
    }
  }
};

// f16 d, f16 dmin and the 6-bit scales and minima of codecs/kquant_scales6.h: those of groups 2 c
// and 2 c + 1 of 32 columns.
PARE_HD void scales6(const Words4& head, int c, Unit* out) {
  const int shift = 16 * (c & 1);
  const uint32_t first = head.w[1] >> shift, second = head.w[2] >> shift;
  const uint32_t third = head.w[3] >> shift;
  // Two codes at once, in the two lowest bytes.
  const bool low = c < 2;
  const uint32_t s = low ? first & 0x3f3fu : (third & 0x0f0fu) | (first >> 2 & 0x3030u);
  const uint32_t m = low ? second & 0x3f3fu : (third >> 4 & 0x0f0fu) | (second >> 2 & 0x3030u);
  const float d = half_to_float(head.w[0] & 0xffffu), dmin = half_to_float(head.w[0] >> 16);
  out->scale[0] = d * static_cast<float>(s & 255u);
  out->scale[1] = d * static_cast<float>(s >> 8 & 255u);
  out->offset[0] = -(dmin * static_cast<float>(m & 255u));
  out->offset[1] = -(dmin * static_cast<float>(m >> 8 & 255u));
}

struct Q4_K : NibbleColumns {
  static constexpr CodecId kId = CodecId::kQ4_K;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = true;
  PARE_FIELDS({0, 16}, {16, 128});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    unpack_nibbles(b.field[1] + 16 * unit, out);
    scales6(load16(b.field[0]), unit >> 1, out);
  }
};

struct Q5_K : NibbleColumns {
  static constexpr CodecId kId = CodecId::kQ5_K;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = true;
  PARE_FIELDS({0, 16}, {16, 32}, {48, 128});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    unpack_nibbles(b.field[2] + 16 * unit, out);
    const Words4 high = load16(b.field[1] + 16 * (unit & 1));
    scales6(load16(b.field[0]), unit >> 1, out);
    for (int g = 0; g < 2; ++g) {
      for (int i = 0; i < 4; ++i) {
        out->level[4 * g + i] |= (high.w[i] >> ((unit & ~1) + g) & 0x01010101u) << 4;
      }
    }
  }
};

struct Q6_K {
  static constexpr CodecId kId = CodecId::kQ6_K;
  static constexpr int kBlockLen = 256, kZero = 32;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 128}, {128, 64}, {192, 16}, {208, 2});
  static PARE_HD int column(int unit, int group) {
    return (unit >> 2) * 128 + (unit >> 1 & 1) * 32 + (unit & 1) * 16 + group * 64;
  }
  static PARE_HD int unit_of(int n) { return (n >> 3) * 4 + (n & 3); }
  static PARE_HD int group_of(int n) { return n >> 2 & 1; }
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    unpack_nibbles(b.field[0] + 16 * unit, out);
    const Words4 high = load16(b.field[1] + 32 * (unit >> 2) + 16 * (unit & 1));
    const float d = half_to_float(load2(b.field[3]));
    for (int g = 0; g < 2; ++g) {
      const int shift = 2 * ((unit >> 1 & 1) + 2 * g);
      for (int i = 0; i < 4; ++i) {
        out->level[4 * g + i] |= (high.w[i] >> shift & 0x03030303u) << 4;
      }
      const auto code = static_cast<int8_t>(load1(b.field[2] + column(unit, g) / 16));
      out->scale[g] = d * static_cast<float>(code);
      out->offset[g] = 0.0f;
    }
  }
};

struct IQ4_XS : PlainColumns {
  static constexpr CodecId kId = CodecId::kIQ4_XS;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 256, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 8}, {8, 128});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    unpack_table(b.field[1] + 16 * unit, iq4_levels(), out);
    const uint64_t head = load8(b.field[0]);
    const auto low = static_cast<uint32_t>(head >> (32 + 4 * unit)) & 15u;
    const auto high = static_cast<uint32_t>(head >> (16 + 2 * unit)) & 3u;
    const float d = half_to_float(static_cast<uint32_t>(head) & 0xffffu);
    set_scales(out, d * static_cast<float>(static_cast<int>(low | high << 4) - 32), 0.0f);
  }
};

struct TQ2_0 : PairColumns {
  static constexpr CodecId kId = CodecId::kTQ2_0;
  static constexpr int kBlockLen = 256, kZero = 1;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 64}, {64, 2});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    const Words4 q = load16(b.field[0] + 16 * (unit >> 1));
    for (int g = 0; g < 2; ++g) {
      const int shift = 2 * (2 * (unit & 1) + g);
      for (int i = 0; i < 4; ++i) out->level[4 * g + i] = q.w[i] >> shift & 0x03030303u;
    }
    set_scales(out, half_to_float(load2(b.field[1])), 0.0f);
  }
};

struct TQ1_0 : PlainColumns {
  static constexpr CodecId kId = CodecId::kTQ1_0;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 256, kZero = 1;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 48}, {48, 4}, {52, 2});
  // Trit `t` of each of four bytes: the whole part of 3 times what is left after t times 3.
  static PARE_HD uint32_t trits(uint32_t bytes, int t) {
    const uint32_t power = t == 0 ? 1u : t == 1 ? 3u : t == 2 ? 9u : t == 3 ? 27u : 81u;
    const uint32_t even = ((bytes & 0x00ff00ffu) * power & 0x00ff00ffu) * 3u;
    const uint32_t odd = ((bytes >> 8 & 0x00ff00ffu) * power & 0x00ff00ffu) * 3u;
    return (even >> 8 & 0x00030003u) | (odd & 0x03000300u);
  }
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    for (int g = 0; g < 2; ++g) {
      const int group = 2 * unit + g;
      if (group == 15) {
        const uint32_t bytes = load4(b.field[1]);
        for (int i = 0; i < 4; ++i) out->level[4 * g + i] = trits(bytes, i);
        continue;
      }
      const bool first = group < 10;
      const Words4 q = load16(b.field[0] + (first ? 16 * (group & 1) : 32));
      for (int i = 0; i < 4; ++i) {
        out->level[4 * g + i] = trits(q.w[i], first ? group >> 1 : group - 10);
      }
    }
    set_scales(out, half_to_float(load2(b.field[2])), 0.0f);
  }
};

}  // namespace pare::cuda
