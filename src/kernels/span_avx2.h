// Spans for AVX2, for products with few tokens: 256 columns of a quantized row in registers,
// 32 in each. What each codec does is in span_*_avx2.h; the layouts are told in unpack_*.cpp.
//
// vpmaddubsw multiplies unsigned levels with signed activations and adds pairs in 16 bits, without
// loss while levels are at most 128 (2 * 128 * 127 < 2^15). Codecs with larger ones have signed
// levels, whose signs go to the activations. vpmaddwd then adds pairs of these to 32 columns in 8
// lanes; where a format has integers as scales of 16 columns it multiplies with those as well.
#pragma once

#include "kernels/dot.h"
#include "kernels/span.h"

HWY_PUSH_ATTRIBUTES(PARE_SPAN_TARGET)

namespace pare::span {
namespace {

// How the values of a span follow from its levels.
enum class Levels {
  kPlain,       // scale * (level - kZero), a scale for each 32 columns
  kPlain16,     // the same, a scale for each 16 columns
  kSigned,      // scale * level, level signed
  kMagnitudes,  // scale * level with the sign of `sign`
  kOffset,      // scale * level + offset, both for each 32 columns
  kCodes,       // d * code * (level - kZero) + offset, a code (and an offset) for each 16 columns
  kMagnitudeCodes  // d * code * level with the sign of `sign`
};

// What is set of a span before its levels.
struct SpanScales {
  __m256 scale;     // of each 32 columns; k*Codes: d, eight times
  __m256 offset;    // kOffset
  __m256i codes;    // k*Codes: 16 bits each, groups 0, 2, .. 14, then 1, 3, .. 15
  __m256 by_16[2];  // of groups 0 to 7 and 8 to 15. kPlain16: scales; kCodes: d * code, or offsets
};

// A codec has kId, kLevels, kZero, kOffset16 (kCodes with offsets), kColumns and kBytes of a block,
// and load(first block, out), which reads no byte but those of 256 columns. It sets the scales that
// are `out`'s base, calls out->ready(), and then out->put(j, levels) for each of eight registers of
// 32 columns, for kMagnitude* with bytes of 1 and -1 as well. So levels are used up as they come:
// more of them than there are registers would be stored and loaded again. With kPairs (of nibbles)
// it calls out->put_pair(p, low, high) for each pair of 32 columns instead: the first 16 of both,
// then the last 16 of both, as they lie in 32 bytes. Their products are added before they are
// scaled.

PARE_INLINE __m256i splat2(int byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }

// Bits kFirst and above of each byte, as many as `mask` has.
template <int kFirst>
PARE_INLINE __m256i bits(__m256i v, __m256i mask) {
  return _mm256_and_si256(_mm256_srli_epi16(v, kFirst), mask);
}
// Bit kFrom of each byte, at bit kTo.
template <int kFrom, int kTo>
PARE_INLINE __m256i bit(__m256i v) {
  if constexpr (kFrom >= kTo) return bits<kFrom - kTo>(v, splat2(1 << kTo));
  return _mm256_and_si256(_mm256_slli_epi16(v, kTo - kFrom), splat2(1 << kTo));
}
// The four pairs of bits of 32 bytes, as registers kFirst and those behind it.
template <int kFirst, class Out>
PARE_INLINE void put_pairs(__m256i v, Out* out) {
  const __m256i mask = splat2(3);
  out->put(kFirst, bits<0>(v, mask));
  out->put(kFirst + 1, bits<2>(v, mask));
  out->put(kFirst + 2, bits<4>(v, mask));
  out->put(kFirst + 3, bits<6>(v, mask));
}
// Each byte of four, eight times, where the four stand in both halves.
PARE_INLINE __m256i by_eights() {
  return _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
}
// 255 where the byte's own bit is set, the lowest in the first of eight bytes.
PARE_INLINE __m256i set_bits(__m256i v) {
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
  return _mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit);
}
// 255 where the bit of 32 is set, lowest first; `all`: the 32 bits eight times.
PARE_INLINE __m256i spread_bits(__m256i all) {
  return set_bits(_mm256_shuffle_epi8(all, by_eights()));
}
// `value` where the bit of 32 is set.
PARE_INLINE __m256i where_set(const uint8_t* in, int value) {
  return _mm256_and_si256(spread_bits(_mm256_set1_epi32(static_cast<int>(load_u32(in)))),
                          splat2(value));
}
// A table of 16 bytes, each with `add` added, twice.
PARE_INLINE __m256i table16(const int8_t* levels, int add) {
  const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(levels));
  return _mm256_add_epi8(_mm256_broadcastsi128_si256(v), splat2(add));
}

// 16 signed bytes of codes, as SpanScales has them.
PARE_INLINE void set_codes(SpanScales* s, __m256 d, __m128i codes) {
  const __m128i even = _mm_srai_epi16(_mm_slli_epi16(codes, 8), 8), odd = _mm_srai_epi16(codes, 8);
  s->codes = _mm256_set_m128i(odd, even);
  s->scale = d;
}
// d * codes, by_16.
PARE_INLINE void set_by_16(SpanScales* s, __m256 d, __m128i codes) {
  s->by_16[0] = scaled(d, _mm256_cvtepi8_epi32(codes));
  s->by_16[1] = scaled(d, _mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)));
}

// What codecs derive from.
template <CodecId kIt, int kBlockColumns, int kBlockBytes, Levels kForm, int kZeroLevel = 0,
          bool kOffsets = false>
struct Layout {
  static constexpr CodecId kId = kIt;
  static constexpr Levels kLevels = kForm;
  static constexpr int kZero = kZeroLevel, kColumns = kBlockColumns, kBytes = kBlockBytes;
  static constexpr bool kOffset16 = kOffsets;
  static constexpr bool kPairs = false;
};
template <CodecId kIt, int kBlockColumns, int kBlockBytes, Levels kForm, int kZeroLevel = 0>
struct PairLayout : Layout<kIt, kBlockColumns, kBlockBytes, kForm, kZeroLevel> {
  static constexpr bool kPairs = true;
};

}  // namespace
}  // namespace pare::span

HWY_POP_ATTRIBUTES
