// Spans for AVX2: blocks of 32 columns, and super-blocks.
#pragma once

#include "codecs/fp4.h"
#include "codecs/kquant.h"
#include "kernels/span_avx2.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

// --- blocks of 32 columns with a binary16 scale each ---

// Calls body(p, first block) for each of the four pairs of blocks.
template <int kBytes, class Body>
PARE_INLINE void for_pairs(const uint8_t* in, const Body& body) {
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) body(p, in + 2 * p * kBytes);
}
// 16 bytes at `in` and 16 of the block behind it.
template <int kBytes>
PARE_INLINE __m256i of_both(const uint8_t* in) {
  if constexpr (kBytes == 16) return load32(in);
  return _mm256_set_m128i(load16(in + kBytes), load16(in));
}
// 32 bits, four times.
PARE_INLINE __m128i word(const uint8_t* in) {
  return _mm_set1_epi32(static_cast<int>(load_u32(in)));
}
// Nibbles of both blocks, the low ones and the high ones.
template <int kBytes, int kHead, class Out>
PARE_INLINE void put_nibbles(const uint8_t* in, Out* out) {
  for_pairs<kBytes>(
      in, [&](int p, const uint8_t* a) __attribute__((always_inline)) {
        const __m256i v = of_both<kBytes>(a + kHead);
        out->put_pair(p, bits<0>(v, splat2(15)), bits<4>(v, splat2(15)));
      });
}
// The same, looked up in a table of 16.
template <int kBytes, int kHead, class Out>
PARE_INLINE void put_looked_up(const uint8_t* in, __m256i table, Out* out) {
  for_pairs<kBytes>(
      in, [&](int p, const uint8_t* a) __attribute__((always_inline)) {
        const __m256i v = of_both<kBytes>(a + kHead);
        out->put_pair(p, _mm256_shuffle_epi8(table, bits<0>(v, splat2(15))),
                      _mm256_shuffle_epi8(table, bits<4>(v, splat2(15))));
      });
}
// The same with a fifth bit each: 32 of them before the nibbles.
template <int kBytes, int kHead, class Out>
PARE_INLINE void put_fives(const uint8_t* in, Out* out) {
  const __m256i first = _mm256_setr_epi64x(0, 0x0101010101010101, 0, 0x0101010101010101);
  const __m256i last = _mm256_add_epi8(first, splat2(2));
  for_pairs<kBytes>(
      in, [&](int p, const uint8_t* a) __attribute__((always_inline)) {
        const __m256i all = _mm256_set_m128i(word(a + kBytes + kHead), word(a + kHead));
        const __m256i v = of_both<kBytes>(a + kHead + 4);
        const __m256i low = _mm256_and_si256(set_bits(_mm256_shuffle_epi8(all, first)), splat2(16));
        const __m256i high = _mm256_and_si256(set_bits(_mm256_shuffle_epi8(all, last)), splat2(16));
        out->put_pair(p, _mm256_or_si256(bits<0>(v, splat2(15)), low),
                      _mm256_or_si256(bits<4>(v, splat2(15)), high));
      });
}

struct Q4_0 : PairLayout<CodecId::kQ4_0, 32, 18, Levels::kPlain, 8> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    out->scale = halves<kBytes>(in);
    out->ready();
    put_nibbles<kBytes, 2>(in, out);
  }
};

struct Q4_1 : PairLayout<CodecId::kQ4_1, 32, 20, Levels::kOffset> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    out->scale = halves<kBytes>(in);
    out->offset = halves<kBytes>(in + 2);
    out->ready();
    put_nibbles<kBytes, 4>(in, out);
  }
};

struct Q5_0 : PairLayout<CodecId::kQ5_0, 32, 22, Levels::kPlain, 16> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    out->scale = halves<kBytes>(in);
    out->ready();
    put_fives<kBytes, 2>(in, out);
  }
};

struct Q5_1 : PairLayout<CodecId::kQ5_1, 32, 24, Levels::kOffset> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    out->scale = halves<kBytes>(in);
    out->offset = halves<kBytes>(in + 2);
    out->ready();
    put_fives<kBytes, 4>(in, out);
  }
};

struct Q8_0 : Layout<CodecId::kQ8_0, 32, 34, Levels::kSigned> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    out->scale = halves<kBytes>(in);
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) out->put(j, load32(in + j * kBytes + 2));
  }
};

struct IQ4_NL : PairLayout<CodecId::kIQ4_NL, 32, 18, Levels::kSigned> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    const __m256i table = table16(kquant::kTable.data(), 0);
    out->scale = halves<kBytes>(in);
    out->ready();
    put_looked_up<kBytes, 2>(in, table, out);
  }
};

struct MXFP4 : PairLayout<CodecId::kMXFP4, 32, 17, Levels::kPlain, 12> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    const __m256i table = table16(kFp4Levels.data(), kZero);
    out->scale = load_scales_mxfp4<kBytes>(in);
    out->ready();
    put_looked_up<kBytes, 1>(in, table, out);
  }
};

// --- blocks of 256 columns ---

struct IQ4_XS : PairLayout<CodecId::kIQ4_XS, 256, 136, Levels::kSigned> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    const __m256i table = table16(kquant::kTable.data(), 0);
    out->scale = load_scales_iq4(in);
    out->ready();
    put_looked_up<16, 8>(in, table, out);
  }
};

struct Q4_K : Layout<CodecId::kQ4_K, 256, 144, Levels::kOffset> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    load_scales6(in, &out->scale, &out->offset);
    out->ready();
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      const __m256i v = load32(in + 16 + 32 * k);
      out->put(2 * k, bits<0>(v, splat2(15)));
      out->put(2 * k + 1, bits<4>(v, splat2(15)));
    }
  }
};

struct Q5_K : Layout<CodecId::kQ5_K, 256, 176, Levels::kOffset> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    load_scales6(in, &out->scale, &out->offset);
    out->ready();
    const __m256i high = load32(in + 16);
    pair<0>(in, high, out);
    pair<1>(in, high, out);
    pair<2>(in, high, out);
    pair<3>(in, high, out);
  }
  template <int kK, class Out>
  PARE_INLINE void pair(const uint8_t* in, __m256i high, Out* out) {
    const __m256i v = load32(in + 48 + 32 * kK);
    out->put(2 * kK, _mm256_or_si256(bits<0>(v, splat2(15)), bit<2 * kK, 4>(high)));
    out->put(2 * kK + 1, _mm256_or_si256(bits<4>(v, splat2(15)), bit<2 * kK + 1, 4>(high)));
  }
};

struct Q6_K : Layout<CodecId::kQ6_K, 256, 210, Levels::kCodes, 32> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    const __m256 d = half(in + 208);
    set_codes(out, d, load16(in + 192));
    set_by_16(out, d, load16(in + 192));
    out->ready();
    const __m256i low_bits = splat2(15), high_bits = splat2(48);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m256i a = load32(in + 64 * h), b = load32(in + 64 * h + 32);
      const __m256i high = load32(in + 128 + 32 * h);
      const auto put = [&](int j, __m256i low, __m256i top) __attribute__((always_inline)) {
        out->put(4 * h + j, _mm256_or_si256(low, _mm256_and_si256(top, high_bits)));
      };
      put(0, bits<0>(a, low_bits), _mm256_slli_epi16(high, 4));
      put(1, bits<0>(b, low_bits), _mm256_slli_epi16(high, 2));
      put(2, bits<4>(a, low_bits), high);
      put(3, bits<4>(b, low_bits), _mm256_srli_epi16(high, 2));
    }
  }
};

struct Q2_K : Layout<CodecId::kQ2_K, 256, 84, Levels::kCodes, 0, true> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    const __m128i codes = load16(in), mask = _mm_set1_epi8(15);
    set_codes(out, half(in + 80), _mm_and_si128(codes, mask));
    set_by_16(out, negative(half(in + 82)), _mm_and_si128(_mm_srli_epi16(codes, 4), mask));
    out->ready();
    put_pairs<0>(load32(in + 16), out);
    put_pairs<4>(load32(in + 48), out);
  }
};

struct Q3_K : Layout<CodecId::kQ3_K, 256, 110, Levels::kCodes, 4> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    const __m256 d = half(in + 108);
    const __m128i codes = _mm_sub_epi8(scales3(in + 96), _mm_set1_epi8(32));
    set_codes(out, d, codes);
    set_by_16(out, d, codes);
    out->ready();
    const __m256i high = load32(in);
    put_four<0>(load32(in + 32), high, out);
    put_four<4>(load32(in + 64), high, out);
  }
  template <int kFirst, class Out>
  PARE_INLINE void put_four(__m256i v, __m256i high, Out* out) {
    const __m256i mask = splat2(3);
    out->put(kFirst, _mm256_or_si256(bits<0>(v, mask), bit<kFirst, 2>(high)));
    out->put(kFirst + 1, _mm256_or_si256(bits<2>(v, mask), bit<kFirst + 1, 2>(high)));
    out->put(kFirst + 2, _mm256_or_si256(bits<4>(v, mask), bit<kFirst + 2, 2>(high)));
    out->put(kFirst + 3, _mm256_or_si256(bits<6>(v, mask), bit<kFirst + 3, 2>(high)));
  }
};

// Apart from those with integers as scales of 16 columns.
using Blocks = Codecs<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4, IQ4_XS, Q4_K, Q5_K>;
using BlocksOfCodes = Codecs<Q2_K, Q3_K, Q6_K>;

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES
