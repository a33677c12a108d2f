// Spans for AVX-512: 256 columns of a quantized row in registers, in the planar form. Here each
// codec says once how its bytes become one; dot_avx512.cpp multiplies spans where they are,
// unpack_avx512.cpp stores them. The layouts are told in unpack_legacy.cpp and unpack_k.cpp.
//
// A codec has kId, kForm, kColumns and kBytes of a block, and load(first block, out), which reads
// no byte but those of 256 columns. Only for the files that say so above.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "codecs/fp4.h"
#include "codecs/kquant.h"
#include "kernels/planar.h"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 finds the undefined lanes that its own intrinsics begin with.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

HWY_PUSH_ATTRIBUTES("avx2,bmi,bmi2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#define PARE_INLINE static inline __attribute__((always_inline))

namespace pare::span {
namespace {

inline constexpr int kSpanColumns = 256;

// One float for each group of `len` columns of a span; 0: none.
template <int kLen>
struct Groups {
  using Type = __m256;
};
template <>
struct Groups<16> {
  using Type = __m512;
};

template <class C>
struct Span {
  __m512i level[4];  // 64 columns each
  typename Groups<C::kForm.scale_len>::Type scale;
  typename Groups<C::kForm.offset_len>::Type offset;  // where the form has offsets
};

// --- parts of layouts ---

PARE_INLINE uint32_t load_u16(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
PARE_INLINE uint32_t load_u32(const uint8_t* p) {
  uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
PARE_INLINE __m128i load16(const uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}
PARE_INLINE __m256i load32(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

PARE_INLINE __m512i splat(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }

// Shift counts of the 32-bit lanes in the two halves of a register.
PARE_INLINE __m512i by_halves(int low, int high) {
  return _mm512_mask_set1_epi32(_mm512_set1_epi32(low), 0xff00, high);
}

// 16 bytes at a and 16 at b, each twice: a a b b.
PARE_INLINE __m512i twice16(const uint8_t* a, const uint8_t* b) {
  return _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load16(a)), 0xff00, load16(b));
}
// 32 bytes twice.
PARE_INLINE __m512i twice32(const uint8_t* in) { return _mm512_broadcast_i64x4(load32(in)); }
// 32 bytes at a, then 32 at b.
PARE_INLINE __m512i both32(const uint8_t* a, const uint8_t* b) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(load32(a)), load32(b), 1);
}

// The nibbles of two runs of 16 bytes: low halves and high halves of a, then of b.
PARE_INLINE __m512i nibbles16(const uint8_t* a, const uint8_t* b) {
  const __m512i counts = _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4);
  return _mm512_and_si512(_mm512_srlv_epi32(twice16(a, b), counts), splat(15));
}
// The nibbles of 32 bytes: their low halves, then their high halves.
PARE_INLINE __m512i nibbles32(const uint8_t* in) {
  return _mm512_and_si512(_mm512_srlv_epi32(twice32(in), by_halves(0, 4)), splat(15));
}

// Binary16 numbers at first, first + stride, ...: eight of them.
template <int kStride>
PARE_INLINE __m256 halves(const uint8_t* first) {
  const auto at = [&](int i) { return static_cast<int>(load_u16(first + i * kStride)); };
  __m128i low = _mm_cvtsi32_si128(at(0)), high = _mm_cvtsi32_si128(at(4));
  low = _mm_insert_epi16(low, at(1), 1);
  high = _mm_insert_epi16(high, at(5), 1);
  low = _mm_insert_epi16(low, at(2), 2);
  high = _mm_insert_epi16(high, at(6), 2);
  low = _mm_insert_epi16(low, at(3), 3);
  high = _mm_insert_epi16(high, at(7), 3);
  return _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high));
}
// One of them, eight times.
PARE_INLINE __m256 half(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(load_u16(p))));
}
PARE_INLINE __m512 half_by_16(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<int16_t>(load_u16(p))));
}
PARE_INLINE __m256 negative(__m256 v) { return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f)); }

// factor * codes, eight of them.
PARE_INLINE __m256 scaled(__m256 factor, __m256i codes) {
  return _mm256_mul_ps(factor, _mm256_cvtepi32_ps(codes));
}
PARE_INLINE __m256i spread(uint64_t codes) {
  return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(codes)));
}

// 16 levels, biased to be unsigned, in each quarter of a register.
PARE_INLINE __m512i level_table(const int8_t* levels, int zero) {
  return _mm512_add_epi8(
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels))),
      splat(zero));
}

// --- blocks of 32 columns ---

// body(j, a, b) for each 64 columns: the data of their two blocks, behind a head of kHead bytes.
template <int kBytes, int kHead, class Body>
PARE_INLINE void for_pairs(const uint8_t* in, const Body& body) {
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const uint8_t* a = in + 2 * j * kBytes + kHead;
    body(j, a, a + kBytes);
  }
}

struct Q4_0 {
  static constexpr CodecId kId = CodecId::kQ4_0;
  static constexpr PlanarForm kForm = {32, 0, 8, 15};
  static constexpr int kColumns = 32, kBytes = 18;
  PARE_INLINE void load(const uint8_t* in, Span<Q4_0>* out) {
    out->scale = halves<kBytes>(in);
    for_pairs<kBytes, 2>(
        in, [&](int j, const uint8_t* a, const uint8_t* b)
                __attribute__((always_inline)) { out->level[j] = nibbles16(a, b); });
  }
};

struct Q4_1 {
  static constexpr CodecId kId = CodecId::kQ4_1;
  static constexpr PlanarForm kForm = {32, 32, 0, 15};
  static constexpr int kColumns = 32, kBytes = 20;
  PARE_INLINE void load(const uint8_t* in, Span<Q4_1>* out) {
    out->scale = halves<kBytes>(in);
    out->offset = halves<kBytes>(in + 2);
    for_pairs<kBytes, 4>(
        in, [&](int j, const uint8_t* a, const uint8_t* b)
                __attribute__((always_inline)) { out->level[j] = nibbles16(a, b); });
  }
};

// Adds fifth bits, 32 at a and 32 at b.
PARE_INLINE __m512i with_fifth(__m512i nibbles, const uint8_t* a, const uint8_t* b) {
  const uint64_t bits = load_u32(a) | static_cast<uint64_t>(load_u32(b)) << 32;
  return _mm512_mask_add_epi8(nibbles, bits, nibbles, splat(16));
}

struct Q5_0 {
  static constexpr CodecId kId = CodecId::kQ5_0;
  static constexpr PlanarForm kForm = {32, 0, 16, 31};
  static constexpr int kColumns = 32, kBytes = 22;
  PARE_INLINE void load(const uint8_t* in, Span<Q5_0>* out) {
    out->scale = halves<kBytes>(in);
    for_pairs<kBytes, 2>(
        in, [&](int j, const uint8_t* a, const uint8_t* b) __attribute__((always_inline)) {
          out->level[j] = with_fifth(nibbles16(a + 4, b + 4), a, b);
        });
  }
};

struct Q5_1 {
  static constexpr CodecId kId = CodecId::kQ5_1;
  static constexpr PlanarForm kForm = {32, 32, 0, 31};
  static constexpr int kColumns = 32, kBytes = 24;
  PARE_INLINE void load(const uint8_t* in, Span<Q5_1>* out) {
    out->scale = halves<kBytes>(in);
    out->offset = halves<kBytes>(in + 2);
    for_pairs<kBytes, 4>(
        in, [&](int j, const uint8_t* a, const uint8_t* b) __attribute__((always_inline)) {
          out->level[j] = with_fifth(nibbles16(a + 4, b + 4), a, b);
        });
  }
};

struct Q8_0 {
  static constexpr CodecId kId = CodecId::kQ8_0;
  static constexpr PlanarForm kForm = {32, 0, 128, 255};
  static constexpr int kColumns = 32, kBytes = 34;
  PARE_INLINE void load(const uint8_t* in, Span<Q8_0>* out) {
    out->scale = halves<kBytes>(in);
    for_pairs<kBytes, 2>(
        in, [&](int j, const uint8_t* a, const uint8_t* b) __attribute__((always_inline)) {
          out->level[j] = _mm512_xor_si512(both32(a, b), splat(128));
        });
  }
};

inline constexpr int kTableZero = 127;
struct IQ4_NL {
  static constexpr CodecId kId = CodecId::kIQ4_NL;
  static constexpr PlanarForm kForm = {32, 0, kTableZero, 240};
  static constexpr int kColumns = 32, kBytes = 18;
  PARE_INLINE void load(const uint8_t* in, Span<IQ4_NL>* out) {
    const __m512i table = level_table(kquant::kTable.data(), kTableZero);
    out->scale = halves<kBytes>(in);
    for_pairs<kBytes, 2>(
        in, [&](int j, const uint8_t* a, const uint8_t* b) __attribute__((always_inline)) {
          out->level[j] = _mm512_shuffle_epi8(table, nibbles16(a, b));
        });
  }
};

inline constexpr int kFp4Zero = 12;
struct MXFP4 {
  static constexpr CodecId kId = CodecId::kMXFP4;
  static constexpr PlanarForm kForm = {32, 0, kFp4Zero, 24};
  static constexpr int kColumns = 32, kBytes = 17;
  PARE_INLINE void load(const uint8_t* in, Span<MXFP4>* out) {
    const __m512i table = level_table(kFp4Levels.data(), kFp4Zero);
    uint64_t exponents = 0;
#pragma GCC unroll 8
    for (int g = 0; g < 8; ++g) exponents |= uint64_t{in[g * kBytes]} << (8 * g);
    // 2^(e - 128), which for e < 2 is not normal.
    const __m256i e = spread(exponents);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    const __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    const __mmask8 is_tiny = _mm256_cmplt_epi32_mask(e, _mm256_set1_epi32(2));
    out->scale = _mm256_castsi256_ps(_mm256_mask_mov_epi32(normal, is_tiny, tiny));
    for_pairs<kBytes, 1>(
        in, [&](int j, const uint8_t* a, const uint8_t* b) __attribute__((always_inline)) {
          out->level[j] = _mm512_shuffle_epi8(table, nibbles16(a, b));
        });
  }
};

// --- super-blocks of 256 columns ---

struct IQ4_XS {
  static constexpr CodecId kId = CodecId::kIQ4_XS;
  static constexpr PlanarForm kForm = {32, 0, kTableZero, 240};
  static constexpr int kColumns = 256, kBytes = 136;
  PARE_INLINE void load(const uint8_t* in, Span<IQ4_XS>* out) {
    const __m512i table = level_table(kquant::kTable.data(), kTableZero);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(load_u32(in + 4))),
                                          _mm256_slli_epi32(lane, 2));
    const __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(load_u16(in + 2))),
                                           _mm256_slli_epi32(lane, 1));
    const __m256i codes =
        _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                        _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4));
    out->scale = scaled(half(in), _mm256_sub_epi32(codes, _mm256_set1_epi32(32)));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const uint8_t* q = in + 8 + 32 * j;
      out->level[j] = _mm512_shuffle_epi8(table, nibbles16(q, q + 16));
    }
  }
};

// Scales and offsets of Q4_K and Q5_K.
PARE_INLINE void load_scales6(const uint8_t* in, __m256* scale, __m256* offset) {
  const uint64_t a = load_u32(in + 4), b = load_u32(in + 8), c = load_u32(in + 12);
  const uint64_t scales =
      (a & 0x3f3f3f3fu) | (c & 0x0f0f0f0fu) << 32 | (a >> 6 & 0x03030303u) << 36;
  const uint64_t minima =
      (b & 0x3f3f3f3fu) | (c >> 4 & 0x0f0f0f0fu) << 32 | (b >> 6 & 0x03030303u) << 36;
  *scale = scaled(half(in), spread(scales));
  *offset = scaled(negative(half(in + 2)), spread(minima));
}

struct Q4_K {
  static constexpr CodecId kId = CodecId::kQ4_K;
  static constexpr PlanarForm kForm = {32, 32, 0, 15};
  static constexpr int kColumns = 256, kBytes = 144;
  PARE_INLINE void load(const uint8_t* in, Span<Q4_K>* out) {
    load_scales6(in, &out->scale, &out->offset);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) out->level[j] = nibbles32(in + 16 + 32 * j);
  }
};

// 1 << j in the bytes of the lower half, 1 << k in those of the upper.
PARE_INLINE __m512i bits_by_halves(int j, int k) {
  return _mm512_mask_set1_epi8(splat(1 << j), 0xffffffff00000000u, static_cast<char>(1 << k));
}

struct Q5_K {
  static constexpr CodecId kId = CodecId::kQ5_K;
  static constexpr PlanarForm kForm = {32, 32, 0, 31};
  static constexpr int kColumns = 256, kBytes = 176;
  PARE_INLINE void load(const uint8_t* in, Span<Q5_K>* out) {
    load_scales6(in, &out->scale, &out->offset);
    const __m512i high = twice32(in + 16);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512i nibbles = nibbles32(in + 48 + 32 * j);
      const __mmask64 fifth = _mm512_test_epi8_mask(high, bits_by_halves(2 * j, 2 * j + 1));
      out->level[j] = _mm512_mask_add_epi8(nibbles, fifth, nibbles, splat(16));
    }
  }
};

struct Q6_K {
  static constexpr CodecId kId = CodecId::kQ6_K;
  static constexpr PlanarForm kForm = {16, 0, 32, 63};
  static constexpr int kColumns = 256, kBytes = 210;
  PARE_INLINE void load(const uint8_t* in, Span<Q6_K>* out) {
    const __m512i codes = _mm512_cvtepi8_epi32(load16(in + 192));
    out->scale = _mm512_mul_ps(half_by_16(in + 208), _mm512_cvtepi32_ps(codes));
    const __m512i low_bits = splat(15), high_bits = splat(48);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m512i low = _mm512_loadu_si512(in + 64 * h);
      const __m512i high = twice32(in + 128 + 32 * h);
      const __m512i first = _mm512_and_si512(_mm512_sllv_epi32(high, by_halves(4, 2)), high_bits);
      const __m512i second = _mm512_and_si512(_mm512_srlv_epi32(high, by_halves(0, 2)), high_bits);
      // (a & b) | c
      out->level[2 * h] = _mm512_ternarylogic_epi32(low, low_bits, first, 0xea);
      out->level[2 * h + 1] =
          _mm512_ternarylogic_epi32(_mm512_srli_epi32(low, 4), low_bits, second, 0xea);
    }
  }
};

// Pairs of bits 4 k .. 4 k + 3 of 32 bytes, low pairs first.
template <int kK>
PARE_INLINE __m512i pairs32(__m512i twice) {
  return _mm512_and_si512(_mm512_srlv_epi32(twice, by_halves(4 * kK, 4 * kK + 2)), splat(3));
}

// Each of 16 bytes four times.
PARE_INLINE __m512i four_times(__m128i bytes) {
  return _mm512_mullo_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(0x01010101));
}

// bytes * {0, 1, 2, 3}: of each run of four equal bytes, their products with the levels.
PARE_INLINE __m512i times_0123(__m512i bytes) {
  const __m512i doubled = _mm512_add_epi8(bytes, bytes);
  return _mm512_add_epi8(_mm512_maskz_mov_epi8(0xaaaaaaaaaaaaaaaau, bytes),
                         _mm512_maskz_mov_epi8(0xccccccccccccccccu, doubled));
}

// Which words of the products of 16 groups begin the quarters of register j, groups 4 j .. 4 j + 3;
// what follows in each quarter is `second` more.
PARE_INLINE __m512i quarter_words(int j, int second) {
  const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  const __m512i words = _mm512_add_epi32(first, _mm512_set1_epi32(4 * j));
  return _mm512_mask_add_epi32(words, 0x2222, words, _mm512_set1_epi32(second));
}

// As in unpack_k.cpp, levels of Q2_K and Q3_K are multiplied with their scale codes.
struct Q2_K {
  static constexpr CodecId kId = CodecId::kQ2_K;
  static constexpr PlanarForm kForm = {32, 16, 0, 45};
  static constexpr int kColumns = 256, kBytes = 84;
  PARE_INLINE void load(const uint8_t* in, Span<Q2_K>* out) {
    const __m128i nibble = _mm_set1_epi8(15), codes = load16(in);
    const __m512i products = times_0123(four_times(_mm_and_si128(codes, nibble)));
    const __m512i minima = _mm512_cvtepu8_epi32(_mm_and_si128(_mm_srli_epi16(codes, 4), nibble));
    out->scale = half(in + 80);
    const __m512 dmin = _mm512_xor_ps(half_by_16(in + 82), _mm512_set1_ps(-0.0f));
    out->offset = _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(minima));
    const auto levels = [&](int j, __m512i index) __attribute__((always_inline)) {
      const __m512i table = _mm512_permutexvar_epi32(quarter_words(j, 0), products);
      out->level[j] = _mm512_shuffle_epi8(table, index);
    };
    const __m512i first = twice32(in + 16), second = twice32(in + 48);
    levels(0, pairs32<0>(first));
    levels(1, pairs32<1>(first));
    levels(2, pairs32<0>(second));
    levels(3, pairs32<1>(second));
  }
};

inline constexpr int kQ3Zero = 124;
struct Q3_K {
  static constexpr CodecId kId = CodecId::kQ3_K;
  static constexpr PlanarForm kForm = {32, 0, kQ3Zero, 252};
  static constexpr int kColumns = 256, kBytes = 110;
  PARE_INLINE void load(const uint8_t* in, Span<Q3_K>* out) {
    const uint32_t a = load_u32(in + 96), b = load_u32(in + 100), t = load_u32(in + 104);
    const auto word = [](uint32_t low, uint32_t high) __attribute__((always_inline)) {
      return static_cast<int>((low & 0x0f0f0f0fu) | (high & 0x03030303u) << 4);
    };
    const __m128i codes =
        _mm_setr_epi32(word(a, t), word(b, t >> 2), word(a >> 4, t >> 4), word(b >> 4, t >> 6));
    const __m512i scales = four_times(_mm_and_si128(codes, _mm_set1_epi8(63)));
    const __m512i centred = _mm512_sub_epi8(scales, splat(32));
    const __m512i doubled = _mm512_add_epi8(centred, centred);
    // Products with levels 0 .. 3, and with -4 .. -1.
    const __m512i upper = _mm512_add_epi8(times_0123(centred), splat(kQ3Zero));
    const __m512i lower = _mm512_sub_epi8(upper, _mm512_add_epi8(doubled, doubled));
    out->scale = half(in + 108);
    const __m512i high = twice32(in);
    const auto levels = [&](int j, __m512i index) __attribute__((always_inline)) {
      const __mmask64 third = _mm512_test_epi8_mask(high, bits_by_halves(2 * j, 2 * j + 1));
      const __m512i level = _mm512_mask_add_epi8(index, third, index, splat(4));
      const __m512i table = _mm512_permutex2var_epi32(lower, quarter_words(j, 16), upper);
      out->level[j] = _mm512_shuffle_epi8(table, level);
    };
    const __m512i first = twice32(in + 32), second = twice32(in + 64);
    levels(0, pairs32<0>(first));
    levels(1, pairs32<1>(first));
    levels(2, pairs32<0>(second));
    levels(3, pairs32<1>(second));
  }
};

// Every codec of this file, for tables of what is made of them.
template <class... C>
struct Codecs {};
using All =
    Codecs<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4, IQ4_XS, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K>;

// The blocks of the last columns of a row, fewer than 256, with blocks of zeros behind them.
template <class C>
class Tail {
 public:
  Tail(const uint8_t* in, int64_t columns) {
    std::memcpy(blocks_, in, static_cast<size_t>(columns / C::kColumns * C::kBytes));
  }
  const uint8_t* data() const { return blocks_; }

 private:
  uint8_t blocks_[kSpanColumns / C::kColumns * C::kBytes] = {};
};

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES
