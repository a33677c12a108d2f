// Spans for AVX2: lattice formats (IQ1, IQ2, IQ3). Entries of the codebooks are loaded one by one,
// to where they are multiplied.
#pragma once

#include "codecs/iq_codebooks.h"
#include "kernels/lattice_tables.h"
#include "kernels/span_avx2.h"
#include "kernels/span_lattice.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

// 32 values of four entries of eight bytes; at(u): where entry u is. Repeated loads and blends
// leave the two ports of permutations to what follows.
template <class At>
PARE_INLINE __m256i join_eights(const At& at) {
  const auto entry = [&](int u) __attribute__((always_inline)) {
    long long value;
    std::memcpy(&value, at(u), sizeof value);
    return _mm256_set1_epi64x(value);
  };
  const __m256i low = _mm256_blend_epi32(entry(0), entry(1), 0x0c);
  const __m256i high = _mm256_blend_epi32(entry(2), entry(3), 0xc0);
  return _mm256_blend_epi32(low, high, 0xf0);
}
// 32 values of eight entries of four bytes.
template <class At>
PARE_INLINE __m256i join_fours(const At& at) {
  const auto entry = [&](int i) __attribute__((always_inline)) {
    return _mm256_set1_epi32(static_cast<int>(load_u32(reinterpret_cast<const uint8_t*>(at(i)))));
  };
  const __m256i a = _mm256_blend_epi32(entry(0), entry(1), 0x02);
  const __m256i b = _mm256_blend_epi32(entry(2), entry(3), 0x08);
  const __m256i c = _mm256_blend_epi32(entry(4), entry(5), 0x20);
  const __m256i d = _mm256_blend_epi32(entry(6), entry(7), 0x80);
  return _mm256_blend_epi32(_mm256_blend_epi32(a, b, 0x0c), _mm256_blend_epi32(c, d, 0xc0), 0xf0);
}

// What is worked out of a span before its entries can be loaded, and takes many steps that wait for
// each other: a span ahead, so that the CPU has something else to do meanwhile.
struct Head {
  alignas(32) int32_t words[8];    // of each 32 columns: signs, or shifts
  alignas(32) uint16_t index[64];  // of the entries, where it is not in the row as it is

  PARE_METHOD void set_words(__m256i all) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(words), all);
  }
  PARE_METHOD void set_index(int i, __m256i sixteen) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(index + i), sixteen);
  }
};

// 1 and -1 for 32 columns, of 32 bits that are set where negative.
PARE_INLINE __m256i signs_of(uint32_t bits) {
  return _mm256_or_si256(spread_bits(_mm256_set1_epi32(static_cast<int>(bits))), splat2(1));
}
PARE_INLINE __m256i signs_of(const Head& head, int j) {
  return signs_of(static_cast<uint32_t>(head.words[j]));
}

// d * (0.5 + code) / 4 as SpanScales has codes: d / 8 * (2 code + 1).
PARE_INLINE __m128i odd_codes(__m128i codes) {
  return _mm_add_epi8(_mm_add_epi8(codes, codes), _mm_set1_epi8(1));
}
PARE_INLINE __m256 eighth(__m256 d) { return _mm256_mul_ps(d, _mm256_set1_ps(0.125f)); }

// Of a codebook with entries of eight or of four values: 32 values of index(0), index(1), ..
template <size_t kEntries, class Index>
PARE_INLINE __m256i entries(const Codebook<kEntries, 8>& book, const Index& index) {
  return join_eights([&](int u) __attribute__((always_inline)) { return book[index(u)].data(); });
}
template <size_t kEntries, class Index>
PARE_INLINE __m256i entries(const Codebook<kEntries, 4>& book, const Index& index) {
  return join_fours([&](int i) __attribute__((always_inline)) { return book[index(i)].data(); });
}
PARE_INLINE __m256i entries(const uint64_t* book, const uint16_t* index) {
  return join_eights([&](int u) __attribute__((always_inline)) { return book + index[u]; });
}

struct IQ2_XXS : Layout<CodecId::kIQ2_XXS, 256, 66, Levels::kMagnitudes> {
  using Ahead = Head;
  // Of each group four indices, then a word.
  PARE_INLINE __m256i words(const uint8_t* in) {
    const __m256 a = _mm256_castsi256_ps(load32(in + 2)), b = _mm256_castsi256_ps(load32(in + 34));
    return _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd)), 0xd8);
  }
  PARE_INLINE void look(const uint8_t* in, Head* head) { head->set_words(sign_bytes(words(in))); }
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, const Head& head, Out* out) {
    out->scale = steps(half(in), _mm256_srli_epi32(words(in), 28), 0.25f);
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const auto index = [&](int u) __attribute__((always_inline)) { return in[2 + 8 * j + u]; };
      out->put(j, entries(kIq2XxsBook, index), signs_of(head, j));
    }
  }
};

struct IQ2_XS : Layout<CodecId::kIQ2_XS, 256, 74, Levels::kMagnitudeCodes> {
  using Ahead = Head;
  PARE_INLINE void look(const uint8_t* in, Head* head) {
    // Of each unit nine bits of index, then seven signs.
    const auto eight_signs = [&](const uint8_t* words) __attribute__((always_inline)) {
      const __m256i seven = _mm256_srli_epi16(load32(words), 9);
      const __m256i last = _mm256_and_si256(parity(seven), _mm256_set1_epi16(1));
      return _mm256_or_si256(seven, _mm256_slli_epi16(last, 7));
    };
    const __m256i packed = _mm256_packus_epi16(eight_signs(in + 2), eight_signs(in + 34));
    head->set_words(_mm256_permute4x64_epi64(packed, 0xd8));
  }
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, const Head& head, Out* out) {
    set_codes(out, eighth(half(in)), odd_codes(nibbles8(in + 66)));
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const auto index = [&](int u) __attribute__((always_inline)) {
        return load_u16(in + 2 + 8 * j + 2 * u) & 511;
      };
      out->put(j, entries(kIq2XsBook, index), signs_of(head, j));
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
  using Ahead = Head;
  PARE_INLINE void look(const uint8_t* in, Head* head) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const int bytes = static_cast<int>(load_u32(in + 66 + 4 * h));
      const __m256i high = above_bytes<2>(_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(bytes)), 3);
      const __m256i low = _mm256_cvtepu8_epi16(load16(in + 2 + 16 * h));
      head->set_index(16 * h, _mm256_or_si256(low, high));
    }
  }
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, const Head& head, Out* out) {
    set_codes(out, eighth(half(in)), odd_codes(nibbles8(in + 74)));
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const auto index = [&](int u) __attribute__((always_inline)) {
        return head.index[4 * j + u];
      };
      out->put(j, entries(kIq2SBook, index), signs_of(load_u32(in + 34 + 4 * j)));
    }
  }
};

struct IQ3_XXS : Layout<CodecId::kIQ3_XXS, 256, 98, Levels::kMagnitudes> {
  using Ahead = Head;
  PARE_INLINE void look(const uint8_t* in, Head* head) {
    head->set_words(sign_bytes(load32(in + 66)));
  }
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, const Head& head, Out* out) {
    out->scale = steps(half(in), _mm256_srli_epi32(load32(in + 66), 28), 0.5f);
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const auto index = [&](int i) __attribute__((always_inline)) { return in[2 + 8 * j + i]; };
      out->put(j, entries(kIq3XxsBook, index), signs_of(head, j));
    }
  }
};

struct IQ3_S : Layout<CodecId::kIQ3_S, 256, 110, Levels::kMagnitudes> {
  using Ahead = Head;
  PARE_INLINE void look(const uint8_t* in, Head* head) {
    const __m256i bit = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
                                          8192, 16384, -32768);
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) {
      const __m256i all = _mm256_set1_epi16(static_cast<int16_t>(load_u16(in + 66 + 2 * h)));
      const __m256i ninth = _mm256_cmpeq_epi16(_mm256_and_si256(all, bit), bit);
      const __m256i low = _mm256_cvtepu8_epi16(load16(in + 2 + 16 * h));
      head->set_index(16 * h,
                      _mm256_or_si256(low, _mm256_and_si256(ninth, _mm256_set1_epi16(256))));
    }
  }
  template <class Out>
  PARE_INLINE void load(const uint8_t* in, const Head& head, Out* out) {
    out->scale = steps(half(in), nibble_codes(in + 106), 2.0f);
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const auto index = [&](int i) __attribute__((always_inline)) {
        return head.index[8 * j + i];
      };
      out->put(j, entries(kIq3SBook, index), signs_of(load_u32(in + 74 + 4 * j)));
    }
  }
};

struct IQ1_S : Layout<CodecId::kIQ1_S, 256, 50, Levels::kPlain, kIq1Zero> {
  using Ahead = Head;
  const uint64_t* book = iq1_levels().data();

  PARE_INLINE void look(const uint8_t* in, Head* head) {
    const __m128i words = load16(in + 34);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m128i four = h == 0 ? words : _mm_unpackhi_epi64(words, words);
      const __m256i high = above_bytes<3>(_mm256_cvtepu16_epi64(four), 7);
      const __m256i low = _mm256_cvtepu8_epi16(load16(in + 2 + 16 * h));
      head->set_index(16 * h, _mm256_or_si256(low, high));
    }
    // The shift of each group: bytes of -1 or of 1.
    const __m256i minus = _mm256_srai_epi32(_mm256_cvtepi16_epi32(words), 31);
    head->set_words(_mm256_or_si256(minus, splat2(1)));
  }
  template <class Out>
  PARE_METHOD void load(const uint8_t* in, const Head& head, Out* out) const {
    out->scale = steps(half(in), iq1_codes(load16(in + 34)), 0.25f);
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const __m256i shift = _mm256_set1_epi32(head.words[j]);
      out->put(j, _mm256_add_epi8(entries(book, head.index + 4 * j), shift));
    }
  }
};

struct IQ1_M : Layout<CodecId::kIQ1_M, 256, 56, Levels::kCodes, kIq1Zero> {
  using Ahead = Head;
  const uint64_t* book = iq1_levels().data();

  PARE_INLINE void look(const uint8_t* in, Head* head) {
    // A nibble for each unit: three high bits of its index, and the sign of its shift.
    const __m256i nibbles = _mm256_set_m128i(nibbles8(in + 40), nibbles8(in + 32));
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const __m128i own =
          h == 0 ? _mm256_castsi256_si128(nibbles) : _mm256_extracti128_si256(nibbles, 1);
      const __m256i high = _mm256_and_si256(_mm256_slli_epi16(_mm256_cvtepu8_epi16(own), 8),
                                            _mm256_set1_epi16(0x700));
      const __m256i low = _mm256_cvtepu8_epi16(load16(in + 16 * h));
      head->set_index(16 * h, _mm256_or_si256(low, high));
    }
    head->set_words(_mm256_or_si256(_mm256_cmpgt_epi8(nibbles, splat2(7)), splat2(1)));
  }
  template <class Out>
  PARE_METHOD void load(const uint8_t* in, const Head& head, Out* out) const {
    uint64_t words;
    std::memcpy(&words, in + 48, sizeof words);
    const __m256 d = eighth(_mm256_cvtph_ps(_mm_set1_epi16(iq1_m_super(words))));
    const __m128i codes = odd_codes(three_bits(words));
    set_codes(out, d, codes);
    set_by_16(out, d, codes);
    out->ready();
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      const __m256i shift = _mm256_shuffle_epi8(_mm256_set1_epi32(head.words[j]), by_eights());
      out->put(j, _mm256_add_epi8(entries(book, head.index + 4 * j), shift));
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

// Apart from those with integers as scales of 16 columns.
using Lattices = Codecs<IQ1_S, IQ2_XXS, IQ3_XXS, IQ3_S>;
using LatticesOfCodes = Codecs<IQ1_M, IQ2_XS, IQ2_S>;

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES
