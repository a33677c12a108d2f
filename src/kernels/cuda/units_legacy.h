// Codecs of 32 columns with one scale: Q4_0 to Q8_0, IQ4_NL, MXFP4; and NVFP4, Q1_0, Q2_0.
// Layouts: codecs/q4_0.cpp and its neighbours.
#pragma once

#include "kernels/cuda/unit.h"

namespace pare::cuda {

// The fields of a codec, in a form that device code can read at any index.
#define PARE_FIELDS(...)                                      \
  static PARE_HD constexpr Field field(int i) {               \
    constexpr Field kFields[] = {__VA_ARGS__};                \
    return kFields[i];                                        \
  }                                                           \
  static constexpr int kFieldCount = [] {                     \
    constexpr Field kFields[] = {__VA_ARGS__};                \
    return static_cast<int>(sizeof(kFields) / sizeof(Field)); \
  }()

inline constexpr uint32_t kLowNibbles = 0x0f0f0f0fu;

PARE_HD void set_scales(Unit* out, float scale, float offset) {
  out->scale[0] = out->scale[1] = scale;
  out->offset[0] = out->offset[1] = offset;
}
template <typename P>
PARE_HD void unpack_nibbles(P in, Unit* out) {
  const Words4 q = load16(in);
  for (int i = 0; i < 4; ++i) {
    out->level[i] = q.w[i] & kLowNibbles;
    out->level[4 + i] = q.w[i] >> 4 & kLowNibbles;
  }
}
PARE_HD void add_fifth_bits(uint32_t bits, Unit* out) {
  for (int i = 0; i < 8; ++i) out->level[i] |= spread_bits(bits >> (4 * i)) << 4;
}
template <typename P>
PARE_HD void unpack_table(P in, const Bytes16& table, Unit* out) {
  const Words4 q = load16(in);
  for (int i = 0; i < 4; ++i) look_up(table, q.w[i], &out->level[i], &out->level[4 + i]);
}
// kquant::kTableLevels: -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113
PARE_HD Bytes16 iq4_levels() { return {{0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u}}; }
// kFp4Levels: 0 1 2 3 4 6 8 12 and their negatives
PARE_HD Bytes16 fp4_levels() { return {{0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu}}; }

struct Q4_0 : PlainColumns {
  static constexpr CodecId kId = CodecId::kQ4_0;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 32, kZero = 8;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 16});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int, const Books&, Unit* out) {
    unpack_nibbles(b.field[1], out);
    set_scales(out, half_to_float(load2(b.field[0])), 0.0f);
  }
};

struct Q4_1 : PlainColumns {
  static constexpr CodecId kId = CodecId::kQ4_1;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 32, kZero = 0;
  static constexpr bool kOffsets = true;
  PARE_FIELDS({0, 4}, {4, 16});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int, const Books&, Unit* out) {
    unpack_nibbles(b.field[1], out);
    const uint32_t head = load4(b.field[0]);
    set_scales(out, half_to_float(head & 0xffffu), half_to_float(head >> 16));
  }
};

struct Q5_0 : PlainColumns {
  static constexpr CodecId kId = CodecId::kQ5_0;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 32, kZero = 16;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 4}, {6, 16});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int, const Books&, Unit* out) {
    unpack_nibbles(b.field[2], out);
    add_fifth_bits(load4(b.field[1]), out);
    set_scales(out, half_to_float(load2(b.field[0])), 0.0f);
  }
};

struct Q5_1 : PlainColumns {
  static constexpr CodecId kId = CodecId::kQ5_1;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 32, kZero = 0;
  static constexpr bool kOffsets = true;
  PARE_FIELDS({0, 4}, {4, 4}, {8, 16});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int, const Books&, Unit* out) {
    unpack_nibbles(b.field[2], out);
    add_fifth_bits(load4(b.field[1]), out);
    const uint32_t head = load4(b.field[0]);
    set_scales(out, half_to_float(head & 0xffffu), half_to_float(head >> 16));
  }
};

struct Q8_0 : PlainColumns {
  static constexpr CodecId kId = CodecId::kQ8_0;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 32, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 32});
  template <typename P>
  static PARE_HD void levels(const BlockOf<P>& b, int half, uint32_t* out) {
    const Words4 q = load16(b.field[1] + 16 * half);
    for (int i = 0; i < 4; ++i) out[i] = q.w[i];
  }
  template <typename P>
  static PARE_HD float scale(const BlockOf<P>& b) {
    return half_to_float(load2(b.field[0]));
  }
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int, const Books&, Unit* out) {
    for (int half = 0; half < 2; ++half) levels(b, half, out->level + 4 * half);
    set_scales(out, scale(b), 0.0f);
  }
};

struct IQ4_NL : PlainColumns {
  static constexpr CodecId kId = CodecId::kIQ4_NL;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 32, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 16});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int, const Books&, Unit* out) {
    unpack_table(b.field[1], iq4_levels(), out);
    set_scales(out, half_to_float(load2(b.field[0])), 0.0f);
  }
};

struct MXFP4 : PlainColumns {
  static constexpr CodecId kId = CodecId::kMXFP4;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 32, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 1}, {1, 16});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int, const Books&, Unit* out) {
    unpack_table(b.field[1], fp4_levels(), out);
    const uint32_t code = load1(b.field[0]);  // 2^(code - 128), as codecs/mxfp4.cpp has it
    set_scales(out, bits_to_float(code >= 2 ? (code - 1) << 23 : 0x00200000u << code), 0.0f);
  }
};

struct NVFP4 : PlainColumns {
  static constexpr CodecId kId = CodecId::kNVFP4;
  static constexpr int kBlockLen = 64, kZero = 0;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 4}, {4, 32});
  // Half of an unsigned E4M3; 0x7f is 0 (codecs/nvfp4.cpp).
  static PARE_HD float scale_of(uint32_t code) {
    const uint32_t exponent = code >> 3 & 15u, mantissa = code & 7u;
    if (code == 0x7fu) return 0.0f;
    if (exponent == 0) return static_cast<float>(mantissa) * 0x1p-10f;
    return bits_to_float((exponent + 119u) << 23 | mantissa << 20);
  }
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    const Words4 q = load16(b.field[1] + 16 * unit);
    const uint32_t codes = load4(b.field[0]) >> (16 * unit);
    for (int g = 0; g < 2; ++g) {
      for (int i = 0; i < 2; ++i) {
        look_up(fp4_levels(), q.w[2 * g + i], &out->level[4 * g + i], &out->level[4 * g + 2 + i]);
      }
      out->scale[g] = scale_of(codes >> (8 * g) & 255u);
      out->offset[g] = 0.0f;
    }
  }
};

struct Q1_0 : PlainColumns {
  static constexpr CodecId kId = CodecId::kQ1_0;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 128, kZero = 1;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 16});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    const uint32_t bits = load4(b.field[1] + 4 * unit);
    for (int i = 0; i < 8; ++i) out->level[i] = spread_bits(bits >> (4 * i)) << 1;
    set_scales(out, half_to_float(load2(b.field[0])), 0.0f);
  }
};

struct Q2_0 : PlainColumns {
  static constexpr CodecId kId = CodecId::kQ2_0;
  static constexpr bool kOneScale = true;
  static constexpr int kBlockLen = 64, kZero = 1;
  static constexpr bool kOffsets = false;
  PARE_FIELDS({0, 2}, {2, 16});
  template <typename P>
  static PARE_HD void unpack(const BlockOf<P>& b, int unit, const Books&, Unit* out) {
    const uint64_t pairs = load8(b.field[1] + 8 * unit);
    for (int i = 0; i < 8; ++i) {
      out->level[i] = spread_pairs(static_cast<uint32_t>(pairs >> (8 * i)));
    }
    set_scales(out, half_to_float(load2(b.field[0])), 0.0f);
  }
};

}  // namespace pare::cuda
