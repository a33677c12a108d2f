// Unpackers for AVX-512 of the formats that decoding would otherwise wait for: 64 columns at a
// time. A register holds the packed bytes twice, and each copy is shifted by its own count, so
// that masking leaves the columns in order. The layouts are told in unpack_legacy.cpp and
// unpack_k.cpp.
#include "kernels/unpack.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#include <cstring>

#include "codecs/fp4.h"
#include "codecs/kquant.h"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 finds the undefined lanes that its own intrinsics begin with.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

HWY_PUSH_ATTRIBUTES("avx2,bmi,bmi2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#define PARE_INLINE static inline __attribute__((always_inline))

namespace pare {
namespace {

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

PARE_INLINE __m512i splat(int byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }

// Shift counts of the 32-bit lanes in the two halves of a register.
PARE_INLINE __m512i by_halves(int low, int high) {
  return _mm512_mask_set1_epi32(_mm512_set1_epi32(low), 0xff00, high);
}

// 16 bytes at a and 16 at b, each twice: a a b b.
PARE_INLINE __m512i twice16(const uint8_t* a, const uint8_t* b) {
  const __m512i v = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(a)));
  return _mm512_mask_broadcast_i32x4(v, 0xff00,
                                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(b)));
}
// 32 bytes twice.
PARE_INLINE __m512i twice32(const uint8_t* in) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in)));
}

// The nibbles of two blocks of 16 bytes: low halves and high halves of a, then of b.
PARE_INLINE __m512i nibbles16(const uint8_t* a, const uint8_t* b) {
  const __m512i counts = _mm512_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4);
  return _mm512_and_si512(_mm512_srlv_epi32(twice16(a, b), counts), splat(15));
}
// The nibbles of 32 bytes: their low halves, then their high halves.
PARE_INLINE __m512i nibbles32(const uint8_t* in) {
  return _mm512_and_si512(_mm512_srlv_epi32(twice32(in), by_halves(0, 4)), splat(15));
}

// The binary16 fields of a piece's blocks, collected first and converted together.
struct Halves {
  alignas(64) uint16_t v[kPieceColumns / 32];

  PARE_INLINE void copy(const uint8_t* from, uint16_t* to) { std::memcpy(to, from, 2); }
  PARE_INLINE void to_floats(const Halves& halves, int64_t columns, float* out) {
    for (int64_t i = 0; i < columns / 32; i += 16) {
      const __m256i h = _mm256_load_si256(reinterpret_cast<const __m256i*>(halves.v + i));
      _mm512_store_ps(out + i, _mm512_cvtph_ps(h));
    }
  }
};

// Formats of blocks of 32 columns: a layout has kBytes, and levels(a, b), the 64 levels of two
// blocks. kHalves binary16 numbers begin a block: the scale and, if there are two, the offset.
template <class Layout, int kHalves>
void unpack_blocks(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  Halves scale, offset;
  for (int64_t c = 0; c < columns; c += 64, block += 2 * Layout::kBytes) {
    // The last of an odd number stands for the one that is not there, too.
    const uint8_t* second = columns - c > 32 ? block + Layout::kBytes : block;
    if constexpr (kHalves > 0) {
      Halves::copy(block, scale.v + c / 32);
      Halves::copy(second, scale.v + c / 32 + 1);
    }
    if constexpr (kHalves > 1) {
      Halves::copy(block + 2, offset.v + c / 32);
      Halves::copy(second + 2, offset.v + c / 32 + 1);
    }
    _mm512_store_si512(out->level + c, Layout::levels(block, second));
  }
  if constexpr (kHalves > 0) Halves::to_floats(scale, columns, out->scale);
  if constexpr (kHalves > 1) Halves::to_floats(offset, columns, out->offset);
}

struct Q40 {
  static constexpr int kBytes = 18;
  PARE_INLINE __m512i levels(const uint8_t* a, const uint8_t* b) { return nibbles16(a + 2, b + 2); }
};

struct Q41 {
  static constexpr int kBytes = 20;
  PARE_INLINE __m512i levels(const uint8_t* a, const uint8_t* b) { return nibbles16(a + 4, b + 4); }
};

// Adds fifth bits, 32 at a and 32 at b.
PARE_INLINE __m512i with_fifth(__m512i nibbles, const uint8_t* a, const uint8_t* b) {
  const uint64_t bits = load_u32(a) | static_cast<uint64_t>(load_u32(b)) << 32;
  return _mm512_mask_add_epi8(nibbles, bits, nibbles, splat(16));
}

struct Q50 {
  static constexpr int kBytes = 22;
  PARE_INLINE __m512i levels(const uint8_t* a, const uint8_t* b) {
    return with_fifth(nibbles16(a + 6, b + 6), a + 2, b + 2);
  }
};

struct Q51 {
  static constexpr int kBytes = 24;
  PARE_INLINE __m512i levels(const uint8_t* a, const uint8_t* b) {
    return with_fifth(nibbles16(a + 8, b + 8), a + 4, b + 4);
  }
};

// 16 levels, biased to be unsigned, in each quarter of a register.
PARE_INLINE __m512i level_table(const int8_t* levels, int zero) {
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
  return _mm512_add_epi8(_mm512_broadcast_i32x4(table), splat(zero));
}

constexpr int kTableZero = 127;
struct IQ4NL {
  static constexpr int kBytes = 18;
  PARE_INLINE __m512i levels(const uint8_t* a, const uint8_t* b) {
    const __m512i table = level_table(kquant::kTable.data(), kTableZero);
    return _mm512_shuffle_epi8(table, nibbles16(a + 2, b + 2));
  }
};

constexpr int kFp4Zero = 12;
struct MXFP4 {
  static constexpr int kBytes = 17;
  PARE_INLINE __m512i levels(const uint8_t* a, const uint8_t* b) {
    const __m512i table = level_table(kFp4Levels.data(), kFp4Zero);
    return _mm512_shuffle_epi8(table, nibbles16(a + 1, b + 1));
  }
};

void unpack_mxfp4(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t b = 0; b < columns / 32; ++b, block += MXFP4::kBytes) {
    const uint32_t e = block[0];
    const uint32_t bits = e < 2 ? 0x00200000u << e : (e - 1) << 23;
    std::memcpy(out->scale + b, &bits, sizeof bits);
  }
  unpack_blocks<MXFP4, 0>(in, columns, out);
}

// factor * codes, eight of them.
PARE_INLINE void scale_codes(__m256 factor, __m256i codes, float* out) {
  _mm256_store_ps(out, _mm256_mul_ps(factor, _mm256_cvtepi32_ps(codes)));
}

PARE_INLINE __m256 half_at(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_set1_epi16(static_cast<int16_t>(load_u16(p))));
}
PARE_INLINE __m256 negative(__m256 v) { return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f)); }

void unpack_iq4_xs(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const __m512i table = level_table(kquant::kTable.data(), kTableZero);
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 136) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(load_u32(block + 4))),
                                          _mm256_slli_epi32(lane, 2));
    const __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(load_u16(block + 2))),
                                           _mm256_slli_epi32(lane, 1));
    const __m256i codes =
        _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi32(15)),
                        _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4));
    scale_codes(half_at(block), _mm256_sub_epi32(codes, _mm256_set1_epi32(32)),
                out->scale + c / 32);
    for (int g = 0; g < 8; g += 2) {
      const uint8_t* q = block + 8 + 16 * g;
      _mm512_store_si512(out->level + c + 32 * g, _mm512_shuffle_epi8(table, nibbles16(q, q + 16)));
    }
  }
}

PARE_INLINE __m256i spread(uint64_t codes) {
  return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(codes)));
}

// Scales and offsets of Q4_K and Q5_K.
PARE_INLINE void unpack_scales6(const uint8_t* block, float* scale, float* offset) {
  const uint64_t a = load_u32(block + 4), b = load_u32(block + 8), c = load_u32(block + 12);
  const uint64_t scales =
      (a & 0x3f3f3f3fu) | (c & 0x0f0f0f0fu) << 32 | (a >> 6 & 0x03030303u) << 36;
  const uint64_t minima =
      (b & 0x3f3f3f3fu) | (c >> 4 & 0x0f0f0f0fu) << 32 | (b >> 6 & 0x03030303u) << 36;
  scale_codes(half_at(block), spread(scales), scale);
  scale_codes(negative(half_at(block + 2)), spread(minima), offset);
}

void unpack_q4_k(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 144) {
    unpack_scales6(block, out->scale + c / 32, out->offset + c / 32);
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      _mm512_store_si512(out->level + c + 64 * q, nibbles32(block + 16 + 32 * q));
    }
  }
}

void unpack_q5_k(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 176) {
    unpack_scales6(block, out->scale + c / 32, out->offset + c / 32);
    const __m512i high = twice32(block + 16);
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      const __m512i bits = _mm512_mask_set1_epi8(splat(1 << (2 * q)), 0xffffffff00000000u,
                                                 static_cast<char>(2 << (2 * q)));
      const __m512i nibbles = nibbles32(block + 48 + 32 * q);
      _mm512_store_si512(
          out->level + c + 64 * q,
          _mm512_mask_add_epi8(nibbles, _mm512_test_epi8_mask(high, bits), nibbles, splat(16)));
    }
  }
}

// Pairs of bits 4 q .. 4 q + 3 of 32 bytes, low pairs first.
template <int kQ>
PARE_INLINE __m512i pairs32(__m512i twice) {
  return _mm512_and_si512(_mm512_srlv_epi32(twice, by_halves(4 * kQ, 4 * kQ + 2)), splat(3));
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

// Which words of the products of 16 groups begin the quarters of chunk q, groups 4 q .. 4 q + 3;
// what follows in each quarter is `second` more.
PARE_INLINE __m512i quarter_words(int q, int second) {
  const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  const __m512i words = _mm512_add_epi32(first, _mm512_set1_epi32(4 * q));
  return _mm512_mask_add_epi32(words, 0x2222, words, _mm512_set1_epi32(second));
}

void unpack_q2_k(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  const __m128i nibble = _mm_set1_epi8(15);
  for (int64_t c = 0; c < columns; c += 256, block += 84) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block));
    const __m512i products = times_0123(four_times(_mm_and_si128(codes, nibble)));
    const __m512i minima = _mm512_cvtepu8_epi32(_mm_and_si128(_mm_srli_epi16(codes, 4), nibble));
    _mm256_store_ps(out->scale + c / 32, half_at(block + 80));
    const __m512 dmin = _mm512_set1_ps(-_mm256_cvtss_f32(half_at(block + 82)));
    _mm512_store_ps(out->offset + c / 16, _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(minima)));
    const auto put = [&](int q, __m512i index) __attribute__((always_inline)) {
      const __m512i table = _mm512_permutexvar_epi32(quarter_words(q, 0), products);
      _mm512_store_si512(out->level + c + 64 * q, _mm512_shuffle_epi8(table, index));
    };
    const __m512i first = twice32(block + 16), second = twice32(block + 48);
    put(0, pairs32<0>(first));
    put(1, pairs32<1>(first));
    put(2, pairs32<0>(second));
    put(3, pairs32<1>(second));
  }
}

constexpr int kQ3Zero = 124;

void unpack_q3_k(const std::byte* in, int64_t columns, PlanarPiece* out) {
  const auto* block = reinterpret_cast<const uint8_t*>(in);
  for (int64_t c = 0; c < columns; c += 256, block += 110) {
    const uint32_t a = load_u32(block + 96), b = load_u32(block + 100), t = load_u32(block + 104);
    const auto word = [](uint32_t low, uint32_t high) {
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
    _mm256_store_ps(out->scale + c / 32, half_at(block + 108));
    const __m512i high = twice32(block);
    const auto put = [&](int q, __m512i index) __attribute__((always_inline)) {
      const __m512i bits = _mm512_mask_set1_epi8(splat(1 << (2 * q)), 0xffffffff00000000u,
                                                 static_cast<char>(2 << (2 * q)));
      const __m512i level =
          _mm512_mask_add_epi8(index, _mm512_test_epi8_mask(high, bits), index, splat(4));
      const __m512i table = _mm512_permutex2var_epi32(lower, quarter_words(q, 16), upper);
      _mm512_store_si512(out->level + c + 64 * q, _mm512_shuffle_epi8(table, level));
    };
    const __m512i first = twice32(block + 32), second = twice32(block + 64);
    put(0, pairs32<0>(first));
    put(1, pairs32<1>(first));
    put(2, pairs32<0>(second));
    put(3, pairs32<1>(second));
  }
}

}  // namespace
}  // namespace pare

HWY_POP_ATTRIBUTES

namespace pare {

std::span<const Unpacker> avx512_unpackers(CpuLevel level) {
  static const Unpacker kUnpackers[] = {
      {"avx512", CodecId::kQ4_0, {32, 0, 8, 15}, unpack_blocks<Q40, 1>},
      {"avx512", CodecId::kQ4_1, {32, 32, 0, 15}, unpack_blocks<Q41, 2>},
      {"avx512", CodecId::kQ5_0, {32, 0, 16, 31}, unpack_blocks<Q50, 1>},
      {"avx512", CodecId::kQ5_1, {32, 32, 0, 31}, unpack_blocks<Q51, 2>},
      {"avx512", CodecId::kIQ4_NL, {32, 0, kTableZero, 240}, unpack_blocks<IQ4NL, 1>},
      {"avx512", CodecId::kIQ4_XS, {32, 0, kTableZero, 240}, unpack_iq4_xs},
      {"avx512", CodecId::kMXFP4, {32, 0, kFp4Zero, 24}, unpack_mxfp4},
      {"avx512", CodecId::kQ2_K, {32, 16, 0, 45}, unpack_q2_k},
      {"avx512", CodecId::kQ3_K, {32, 0, kQ3Zero, 252}, unpack_q3_k},
      {"avx512", CodecId::kQ4_K, {32, 32, 0, 15}, unpack_q4_k},
      {"avx512", CodecId::kQ5_K, {32, 32, 0, 31}, unpack_q5_k},
  };
  if (level == CpuLevel::kAvx512 || level == CpuLevel::kAmx) return kUnpackers;
  return {};
}

}  // namespace pare

#else

namespace pare {
std::span<const Unpacker> avx512_unpackers(CpuLevel) { return {}; }
}  // namespace pare

#endif  // __x86_64__
