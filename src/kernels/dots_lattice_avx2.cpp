// Products of rows in lattice formats (IQ1, IQ2, IQ3) with few tokens for AVX2: entries of the
// codebooks are loaded one by one, to where they are multiplied.
#include "kernels/dot.h"

#if defined(__x86_64__)

#include "codecs/iq_codebooks.h"
#include "kernels/lattice_tables.h"
#define PARE_SPAN_TARGET "avx2,bmi,bmi2,fma,f16c"
#include "kernels/span_avx2.h"
#include "kernels/span_lattice.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

// 32 values of four entries of eight bytes; at(u): where entry u is.
template <class At>
PARE_INLINE __m256i join_eights(const At& at) {
  const auto two = [&](int u) __attribute__((always_inline)) {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at(u)));
    return _mm_castps_si128(
        _mm_loadh_pi(_mm_castsi128_ps(low), reinterpret_cast<const __m64*>(at(u + 1))));
  };
  return _mm256_set_m128i(two(2), two(0));
}
// 32 values of eight entries of four bytes.
template <class At>
PARE_INLINE __m256i join_fours(const At& at) {
  const auto word = [&](int i) __attribute__((always_inline)) {
    return static_cast<int>(load_u32(reinterpret_cast<const uint8_t*>(at(i))));
  };
  const auto four = [&](int i) __attribute__((always_inline)) {
    const __m128i a = _mm_insert_epi32(_mm_cvtsi32_si128(word(i)), word(i + 1), 1);
    const __m128i b = _mm_insert_epi32(_mm_cvtsi32_si128(word(i + 2)), word(i + 3), 1);
    return _mm_unpacklo_epi64(a, b);
  };
  return _mm256_set_m128i(four(4), four(0));
}

// 32 bytes, of which four at a time are needed eight times.
class Words {
 public:
  PARE_METHOD explicit Words(__m256i bytes) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(memory_), bytes);
  }
  PARE_METHOD __m256i repeated(int j) const { return _mm256_set1_epi32(memory_[j]); }

 private:
  alignas(32) int32_t memory_[8];
};

// 1 and -1 for 32 columns, of the bits of word j, set where negative.
PARE_INLINE __m256i signs_of(const Words& signs, int j) {
  return _mm256_or_si256(spread_bits(signs.repeated(j)), splat2(1));
}

// d * (0.5 + code) / 4 as SpanScales has codes: d / 8 * (2 code + 1).
PARE_INLINE __m128i odd_codes(__m128i codes) {
  return _mm_add_epi8(_mm_add_epi8(codes, codes), _mm_set1_epi8(1));
}
PARE_INLINE __m256 eighth(__m256 d) { return _mm256_mul_ps(d, _mm256_set1_ps(0.125f)); }

// Where indices are read from that were put together in registers.
struct Indices {
  alignas(32) uint16_t v[64];
  PARE_METHOD void set(int i, __m256i sixteen) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(v + i), sixteen);
  }
};

struct IQ2_XXS : Layout<CodecId::kIQ2_XXS, 256, 66, Levels::kMagnitudes> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    // Of each group four indices, then a word.
    const __m256 a = _mm256_castsi256_ps(load32(in + 2)), b = _mm256_castsi256_ps(load32(in + 34));
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd)), 0xd8);
    out->scale = steps(half(in), _mm256_srli_epi32(words, 28), 0.25f);
    const Words signs(sign_bytes(words));
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      out->put(j, join_eights([&](int u) __attribute__((always_inline)) {
                 return kIq2XxsBook[in[2 + 8 * j + u]].data();
               }),
               signs_of(signs, j));
    }
  }
};

struct IQ2_XS : Layout<CodecId::kIQ2_XS, 256, 74, Levels::kMagnitudeCodes> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    set_codes(out, eighth(half(in)), odd_codes(nibbles8(in + 66)));
    // Of each unit nine bits of index, then seven signs.
    const auto eight_signs = [&](const uint8_t* words) __attribute__((always_inline)) {
      const __m256i seven = _mm256_srli_epi16(load32(words), 9);
      const __m256i last = _mm256_and_si256(parity(seven), _mm256_set1_epi16(1));
      return _mm256_or_si256(seven, _mm256_slli_epi16(last, 7));
    };
    const __m256i packed = _mm256_packus_epi16(eight_signs(in + 2), eight_signs(in + 34));
    const Words signs(_mm256_permute4x64_epi64(packed, 0xd8));
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      out->put(j, join_eights([&](int u) __attribute__((always_inline)) {
                 return kIq2XsBook[load_u16(in + 2 + 8 * j + 2 * u) & 511].data();
               }),
               signs_of(signs, j));
    }
  }
};

// Fields of four words, at bits 0, kWidth, .. 3 kWidth of each, to bit 8 and above of 16 bits.
template <int kWidth>
PARE_INLINE __m256i above_bytes(__m256i words, int mask) {
  const __m256i low =
      _mm256_or_si256(_mm256_slli_epi64(words, 8), _mm256_slli_epi64(words, 24 - kWidth));
  const __m256i high = _mm256_or_si256(_mm256_slli_epi64(words, 40 - 2 * kWidth),
                                       _mm256_slli_epi64(words, 56 - 3 * kWidth));
  return _mm256_and_si256(_mm256_or_si256(low, high),
                          _mm256_set1_epi16(static_cast<int16_t>(mask << 8)));
}

struct IQ2_S : Layout<CodecId::kIQ2_S, 256, 82, Levels::kMagnitudeCodes> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    set_codes(out, eighth(half(in)), odd_codes(nibbles8(in + 74)));
    const Words signs(load32(in + 34));
    Indices index;
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const int bytes = static_cast<int>(load_u32(in + 66 + 4 * h));
      const __m256i high = above_bytes<2>(_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(bytes)), 3);
      index.set(16 * h, _mm256_or_si256(_mm256_cvtepu8_epi16(load16(in + 2 + 16 * h)), high));
    }
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      out->put(j, join_eights([&](int u) __attribute__((always_inline)) {
                 return kIq2SBook[index.v[4 * j + u]].data();
               }),
               signs_of(signs, j));
    }
  }
};

struct IQ3_XXS : Layout<CodecId::kIQ3_XXS, 256, 98, Levels::kMagnitudes> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    const __m256i words = load32(in + 66);
    out->scale = steps(half(in), _mm256_srli_epi32(words, 28), 0.5f);
    const Words signs(sign_bytes(words));
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      out->put(j, join_fours([&](int i) __attribute__((always_inline)) {
                 return kIq3XxsBook[in[2 + 8 * j + i]].data();
               }),
               signs_of(signs, j));
    }
  }
};

struct IQ3_S : Layout<CodecId::kIQ3_S, 256, 110, Levels::kMagnitudes> {
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, Out* out) {
    out->scale = steps(half(in), nibble_codes(in + 106), 2.0f);
    const Words signs(load32(in + 74));
    const __m256i bit = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
                                          8192, 16384, -32768);
    Indices index;
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) {
      const __m256i all = _mm256_set1_epi16(static_cast<int16_t>(load_u16(in + 66 + 2 * h)));
      const __m256i ninth = _mm256_cmpeq_epi16(_mm256_and_si256(all, bit), bit);
      const __m256i low = _mm256_cvtepu8_epi16(load16(in + 2 + 16 * h));
      index.set(16 * h, _mm256_or_si256(low, _mm256_and_si256(ninth, _mm256_set1_epi16(256))));
    }
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      out->put(j, join_fours([&](int i) __attribute__((always_inline)) {
                 return kIq3SBook[index.v[8 * j + i]].data();
               }),
               signs_of(signs, j));
    }
  }
};

PARE_INLINE __m256i iq1_units(const uint64_t* book, const uint16_t* index) {
  return join_eights([&](int u) __attribute__((always_inline)) { return book + index[u]; });
}

struct IQ1_S : Layout<CodecId::kIQ1_S, 256, 50, Levels::kPlain, kIq1Zero> {
  const uint64_t* book = iq1_levels().data();

  template <class Out>
  PARE_METHOD void load(const uint8_t* in, Out* out) const {
    const __m128i words = load16(in + 34);
    out->scale = steps(half(in), iq1_codes(words), 0.25f);
    Indices index;
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m128i four = h == 0 ? words : _mm_unpackhi_epi64(words, words);
      const __m256i high = above_bytes<3>(_mm256_cvtepu16_epi64(four), 7);
      index.set(16 * h, _mm256_or_si256(_mm256_cvtepu8_epi16(load16(in + 2 + 16 * h)), high));
    }
    // The shift of each group: bytes of -1 or of 1.
    const Words shifts(
        _mm256_or_si256(_mm256_srai_epi32(_mm256_cvtepi16_epi32(words), 31), splat2(1)));
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      out->put(j, _mm256_add_epi8(iq1_units(book, index.v + 4 * j), shifts.repeated(j)));
    }
  }
};

struct IQ1_M : Layout<CodecId::kIQ1_M, 256, 56, Levels::kCodes, kIq1Zero> {
  const uint64_t* book = iq1_levels().data();

  template <class Out>
  PARE_METHOD void load(const uint8_t* in, Out* out) const {
    uint64_t words;
    std::memcpy(&words, in + 48, sizeof words);
    const __m256 d = eighth(_mm256_cvtph_ps(_mm_set1_epi16(iq1_m_super(words))));
    const __m128i codes = odd_codes(three_bits(words));
    set_codes(out, d, codes);
    set_by_16(out, d, codes);
    // A nibble for each unit: three high bits of its index, and the sign of its shift.
    const __m256i nibbles = _mm256_set_m128i(nibbles8(in + 40), nibbles8(in + 32));
    Indices index;
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m128i own =
          h == 0 ? _mm256_castsi256_si128(nibbles) : _mm256_extracti128_si256(nibbles, 1);
      const __m256i high = _mm256_and_si256(_mm256_slli_epi16(_mm256_cvtepu8_epi16(own), 8),
                                            _mm256_set1_epi16(0x700));
      index.set(16 * h, _mm256_or_si256(_mm256_cvtepu8_epi16(load16(in + 16 * h)), high));
    }
    const __m256i is_minus = _mm256_cmpgt_epi8(nibbles, splat2(7));
    const Words shifts(_mm256_or_si256(is_minus, splat2(1)));
    const __m256i which =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const __m256i shift = _mm256_shuffle_epi8(shifts.repeated(j), which);
      out->put(j, _mm256_add_epi8(iq1_units(book, index.v + 4 * j), shift));
    }
  }

  // Bits 0-2, 3-5, 6-8 and 9-11 of each of four words.
  PARE_INLINE __m128i three_bits(uint64_t words) {
    const __m256i four = _mm256_cvtepu16_epi64(_mm_cvtsi64_si128(static_cast<int64_t>(words)));
    const auto field = [&](int mask, int up) __attribute__((always_inline)) {
      return _mm256_slli_epi64(_mm256_and_si256(four, _mm256_set1_epi64x(mask)), up);
    };
    const __m256i each = _mm256_or_si256(_mm256_or_si256(field(0x7, 0), field(0x38, 5)),
                                         _mm256_or_si256(field(0x1c0, 10), field(0xe00, 15)));
    // The low halves of each 64 bits.
    const __m256i packed =
        _mm256_permutevar8x32_epi32(each, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    return _mm256_castsi256_si128(packed);
  }
};

using Lattices = Codecs<IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S>;

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES

namespace pare {

std::span<const Dot> avx2_lattice_dots() { return span::dots2(span::Lattices()); }

}  // namespace pare

#endif  // __x86_64__
