// Spans of the lattice formats with entries of eight values (IQ1, IQ2), for AVX-512.
#pragma once

#include "codecs/iq_codebooks.h"
#include "kernels/lattice_tables.h"
#include "kernels/span_avx512.h"
#include "kernels/span_lattice.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

inline constexpr int kSignZero = 64;  // magnitudes of IQ2 and IQ3 are below it

// The eight bytes at each of at(0) .. at(7).
template <class At>
PARE_INLINE __m512i join_eights(const At& at) {
  const auto entry = [&](int u) __attribute__((always_inline)) {
    long long bytes;
    std::memcpy(&bytes, at(u), sizeof bytes);
    return bytes;
  };
  return _mm512_setr_epi64(entry(0), entry(1), entry(2), entry(3), entry(4), entry(5), entry(6),
                           entry(7));
}

// Four indices of 16 bits each: their low bytes, and of each some bits of `high` from bit 8 on.
PARE_INLINE uint64_t four_indices(const uint8_t* low, uint64_t high, uint64_t high_mask) {
  return _pdep_u64(load_u32(low), 0x00ff00ff00ff00ffu) | _pdep_u64(high, high_mask);
}
// The entries of eight bytes of four indices and four more. Indices are taken apart as integers,
// not through memory: an entry waits for its address.
template <class Book>
PARE_INLINE __m512i entries_of_8(const Book& book, uint64_t first, uint64_t second) {
  return join_eights([&](int u) __attribute__((always_inline)) {
    return &book[static_cast<uint16_t>((u < 4 ? first : second) >> (16 * (u % 4)))];
  });
}

// Levels of magnitudes; signs: a bit for each, set where negative.
PARE_INLINE __m512i with_signs(__m512i magnitudes, const uint8_t* signs) {
  const uint64_t bits = load_u64(signs);
  const __m512i zero = splat(kSignZero);
  return _mm512_mask_sub_epi8(_mm512_add_epi8(zero, magnitudes), bits, zero, magnitudes);
}

PARE_INLINE __m512 steps(__m512 super, __m512i codes, float factor) {
  const __m512 s = _mm512_add_ps(_mm512_set1_ps(0.5f), _mm512_cvtepi32_ps(codes));
  return _mm512_mul_ps(_mm512_mul_ps(super, s), _mm512_set1_ps(factor));
}
// Scales of eight bytes of nibbles.
PARE_INLINE __m512 scales_of_nibbles(const uint8_t* d, const uint8_t* in, float factor) {
  return steps(half_by_16(d), _mm512_cvtepu8_epi32(nibbles8(in)), factor);
}

struct IQ2_XXS {
  static constexpr CodecId kId = CodecId::kIQ2_XXS;
  static constexpr PlanarForm kForm = {32, 0, kSignZero, 107};
  static constexpr int kColumns = 256, kBytes = 66;

  PARE_METHOD void load(const uint8_t* in, Span<IQ2_XXS>* out) const {
    const __m512i pairs = _mm512_loadu_si512(in + 2);  // four indices and a word for each group
    const __m256i words = _mm512_cvtepi64_epi32(_mm512_srli_epi64(pairs, 32));
    out->scale = steps(half(in), _mm256_srli_epi32(words, 28), 0.25f);
    alignas(64) uint8_t signs[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(signs), sign_bytes(words));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const auto entry = [&](int u) __attribute__((always_inline)) {
        return &kIq2XxsBook[in[2 + 16 * j + 8 * (u / 4) + u % 4]];
      };
      out->level[j] = with_signs(join_eights(entry), signs + 8 * j);
    }
  }
};

struct IQ2_XS {
  static constexpr CodecId kId = CodecId::kIQ2_XS;
  static constexpr PlanarForm kForm = {16, 0, kSignZero, 107};
  static constexpr int kColumns = 256, kBytes = 74;

  PARE_METHOD void load(const uint8_t* in, Span<IQ2_XS>* out) const {
    out->scale = scales_of_nibbles(in, in + 66, 0.25f);
    const __m512i words = _mm512_loadu_si512(in + 2);
    const __m512i seven = _mm512_srli_epi16(words, 9);
    __m512i parity = _mm512_xor_si512(seven, _mm512_srli_epi16(seven, 4));
    parity = _mm512_xor_si512(parity, _mm512_srli_epi16(parity, 2));
    parity = _mm512_xor_si512(parity, _mm512_srli_epi16(parity, 1));
    const __m512i eighth = _mm512_slli_epi16(parity, 7);
    alignas(64) uint8_t signs[32];
    // The low byte of each: seven | eighth, of which bits 0 .. 6 are not wanted.
    const __m512i all = _mm512_ternarylogic_epi32(seven, eighth, _mm512_set1_epi16(0x80), 0xf8);
    _mm256_store_si256(reinterpret_cast<__m256i*>(signs), _mm512_cvtepi16_epi8(all));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const auto four = [&](int k) __attribute__((always_inline)) {
        return load_u64(in + 2 + 8 * k) & 0x01ff01ff01ff01ffu;
      };
      out->level[j] =
          with_signs(entries_of_8(kIq2XsBook, four(2 * j), four(2 * j + 1)), signs + 8 * j);
    }
  }
};

struct IQ2_S {
  static constexpr CodecId kId = CodecId::kIQ2_S;
  static constexpr PlanarForm kForm = {16, 0, kSignZero, 107};
  static constexpr int kColumns = 256, kBytes = 82;

  PARE_METHOD void load(const uint8_t* in, Span<IQ2_S>* out) const {
    out->scale = scales_of_nibbles(in, in + 74, 0.25f);
    const uint64_t high = load_u64(in + 66);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const auto four = [&](int k) __attribute__((always_inline)) {
        return four_indices(in + 2 + 4 * k, high >> (8 * k), 0x0300030003000300u);
      };
      out->level[j] =
          with_signs(entries_of_8(kIq2SBook, four(2 * j), four(2 * j + 1)), in + 34 + 8 * j);
    }
  }
};

struct IQ1_S {
  static constexpr CodecId kId = CodecId::kIQ1_S;
  static constexpr PlanarForm kForm = {32, 0, kIq1Zero, 25};
  static constexpr int kColumns = 256, kBytes = 50;
  const uint64_t* book = iq1_levels().data();

  PARE_METHOD void load(const uint8_t* in, Span<IQ1_S>* out) const {
    const __m128i words = load16(in + 34);
    out->scale = steps(half(in), iq1_codes(words), 0.25f);
    // The shift of each group, in its 64 bits: bytes of -1 or of 1.
    const __m512i minus = _mm512_srai_epi64(_mm512_cvtepi16_epi64(words), 63);
    const __m512i shifts = _mm512_or_si512(minus, splat(1));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512i groups = _mm512_mask_set1_epi64(_mm512_set1_epi64(2 * j), 0xf0, 2 * j + 1);
      const auto four = [&](int k) __attribute__((always_inline)) {
        return four_indices(in + 2 + 4 * k, load_u16(in + 34 + 2 * k), 0x0700070007000700u);
      };
      const __m512i units = entries_of_8(book, four(2 * j), four(2 * j + 1));
      out->level[j] = _mm512_add_epi8(units, _mm512_permutexvar_epi64(groups, shifts));
    }
  }
};

struct IQ1_M {
  static constexpr CodecId kId = CodecId::kIQ1_M;
  static constexpr PlanarForm kForm = {16, 0, kIq1Zero, 25};
  static constexpr int kColumns = 256, kBytes = 56;
  const uint64_t* book = iq1_levels().data();

  PARE_METHOD void load(const uint8_t* in, Span<IQ1_M>* out) const {
    const uint64_t words = load_u64(in + 48);
    const __m512 super = _mm512_cvtph_ps(_mm256_set1_epi16(iq1_m_super(words)));
    const __m128i fields = _mm_cvtepu16_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(words)));
    const __m512i each =
        _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
                                 _mm512_castsi128_si512(fields));
    const __m512i counts = _mm512_setr_epi32(0, 3, 6, 9, 0, 3, 6, 9, 0, 3, 6, 9, 0, 3, 6, 9);
    const __m512i codes = _mm512_and_si512(_mm512_srlv_epi32(each, counts), _mm512_set1_epi32(7));
    out->scale = steps(super, codes, 0.25f);
    // A nibble for each unit: three high bits of its index, and the sign of its shift.
    const __m256i nibbles = _mm256_set_m128i(nibbles8(in + 40), nibbles8(in + 32));
    const __m512i wide = _mm512_cvtepu8_epi16(nibbles);
    const uint32_t minus = _mm512_test_epi16_mask(wide, _mm512_set1_epi16(8));
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const auto is_minus = static_cast<__mmask8>(minus >> (8 * j));
      const __m512i shift = _mm512_mask_set1_epi64(splat(1), is_minus, -1);
      const auto four = [&](int k) __attribute__((always_inline)) {
        const uint64_t all =
            four_indices(in + 4 * k, load_u16(in + 32 + 2 * k), 0x0f000f000f000f00u);
        return all & 0x07ff07ff07ff07ffu;
      };
      out->level[j] = _mm512_add_epi8(entries_of_8(book, four(2 * j), four(2 * j + 1)), shift);
    }
  }
};

using Lattices = Codecs<IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S>;

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES
