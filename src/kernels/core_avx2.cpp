// The core for AVX2. vpmaddubsw multiplies unsigned with signed bytes and adds pairs in 16 bits,
// with saturation, so forms differ by their largest level: up to 16, eight such pairs can be added
// before they are widened; up to 32, four; up to 127, one. Above, levels are kept as signed bytes
// and their signs are moved to the activations.
#include "kernels/core.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#include <cstring>

HWY_PUSH_ATTRIBUTES("avx,avx2,bmi,bmi2,fma,f16c")
#define PARE_INLINE static inline __attribute__((always_inline))

namespace pare {
namespace {

constexpr int kRows = 8;    // of a panel: the lanes of a register
constexpr int kTokens = 4;  // of a tile: two accumulators each, and operands, in 16 registers

// How many steps of vpmaddubsw are added in 16 bits; kSigned: none, and levels are signed.
enum class Range { kSigned = 0, k127 = 1, k32 = 4, k16 = 8 };

Range range_of(const PlanarForm& form) {
  if (form.max_level > 127) return Range::kSigned;
  if (form.max_level > 32) return Range::k127;
  return form.max_level > 16 ? Range::k32 : Range::k16;
}

int bias(const PlanarForm& form) { return range_of(form) == Range::kSigned ? 128 : 0; }

PARE_INLINE float sum_of(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

PARE_INLINE __m256i load_bytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// Sums of four products in 32 bits; `w` signed or not as kRange says.
template <Range kRange>
PARE_INLINE __m256i dot4(__m256i w, __m256i q) {
  const __m256i pairs = kRange == Range::kSigned
                            ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w))
                            : _mm256_maddubs_epi16(w, q);
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// --- few tokens ---

template <Range kRange, int kScaleLen>
void few(const PlanarForm& form, const PlanarPiece& piece, int64_t columns, const Int8Rows& x,
         int64_t tokens, float* sums) {
  const __m256i sign_bit = _mm256_set1_epi8(-128);
  const __m256 minus_zero = _mm256_set1_ps(static_cast<float>(bias(form) - form.zero));
  const int64_t groups = columns / kScaleLen;
  for (int64_t t = 0; t < tokens; ++t) {
    const int8_t* q = x.q + t * x.stride;
    const float* x_scale = (kScaleLen == 32 ? x.scale : x.scale16) + t * x.stride / kScaleLen;
    const float* x_sum = (kScaleLen == 32 ? x.sum : x.sum16) + t * x.stride / kScaleLen;
    alignas(32) float both[kPieceColumns / 16];
    __m256 correction = _mm256_setzero_ps();
    for (int64_t g = 0; g < groups; g += 8) {
      const __m256 scale = _mm256_load_ps(piece.scale + g);
      _mm256_store_ps(both + g, _mm256_mul_ps(scale, _mm256_loadu_ps(x_scale + g)));
      correction =
          _mm256_fmadd_ps(_mm256_mul_ps(scale, minus_zero), _mm256_loadu_ps(x_sum + g), correction);
    }
    if (form.offset_len != 0) {
      const float* offset_sum =
          (form.offset_len == 32 ? x.sum : x.sum16) + t * x.stride / form.offset_len;
      for (int64_t g = 0; g < columns / form.offset_len; g += 8) {
        correction = _mm256_fmadd_ps(_mm256_load_ps(piece.offset + g),
                                     _mm256_loadu_ps(offset_sum + g), correction);
      }
    }
    __m256 acc[2] = {correction, _mm256_setzero_ps()};
    const auto step = [&](int64_t c, __m256 * sum) __attribute__((always_inline)) {
      __m256i w = load_bytes(piece.level + c);
      if constexpr (kRange == Range::kSigned) w = _mm256_xor_si256(w, sign_bit);
      const __m256 dots = _mm256_cvtepi32_ps(dot4<kRange>(w, load_bytes(q + c)));
      const float* s = both + c / kScaleLen;
      const __m256 scale = kScaleLen == 32 ? _mm256_broadcast_ss(s)
                                           : _mm256_blend_ps(_mm256_broadcast_ss(s),
                                                             _mm256_broadcast_ss(s + 1), 0xf0);
      *sum = _mm256_fmadd_ps(dots, scale, *sum);
    };
    int64_t c = 0;
    for (; c + 64 <= columns; c += 64) {
      step(c, &acc[0]);
      step(c + 32, &acc[1]);
    }
    if (c < columns) step(c, &acc[0]);
    sums[t] += sum_of(_mm256_add_ps(acc[0], acc[1]));
  }
}

Core::Few choose_few(const PlanarForm& form) {
  if (range_of(form) == Range::kSigned) {
    return form.scale_len == 32 ? few<Range::kSigned, 32> : few<Range::kSigned, 16>;
  }
  return form.scale_len == 32 ? few<Range::k127, 32> : few<Range::k127, 16>;
}

// --- many tokens ---

// Eight rows of eight words, `stride` words apart, as columns; all words are xored with `mask`.
PARE_INLINE void transpose(const uint32_t* in, int64_t stride, __m256i mask, uint32_t* out) {
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) {
    a[r] = _mm256_castsi256_ps(_mm256_xor_si256(load_bytes(in + r * stride), mask));
  }
#pragma GCC unroll 4
  for (int r = 0; r < 8; r += 2) {
    b[r] = _mm256_unpacklo_ps(a[r], a[r + 1]);
    b[r + 1] = _mm256_unpackhi_ps(a[r], a[r + 1]);
  }
#pragma GCC unroll 2
  for (int r = 0; r < 8; r += 4) {
    a[r] = _mm256_shuffle_ps(b[r], b[r + 2], 0x44);
    a[r + 1] = _mm256_shuffle_ps(b[r], b[r + 2], 0xee);
    a[r + 2] = _mm256_shuffle_ps(b[r + 1], b[r + 3], 0x44);
    a[r + 3] = _mm256_shuffle_ps(b[r + 1], b[r + 3], 0xee);
  }
  auto* to = reinterpret_cast<float*>(out);
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    _mm256_store_ps(to + 8 * c, _mm256_permute2f128_ps(a[c], a[4 + c], 0x20));
    _mm256_store_ps(to + 8 * (4 + c), _mm256_permute2f128_ps(a[c], a[4 + c], 0x31));
  }
}

void transpose_words(const void* in, int64_t row_bytes, int64_t words, int mask, void* out) {
  for (int64_t w = 0; w < words; w += 8) {
    transpose(static_cast<const uint32_t*>(in) + w, row_bytes / 4, _mm256_set1_epi32(mask),
              static_cast<uint32_t*>(out) + w * kRows);
  }
}

void interleave(const PlanarForm& form, const PlanarPiece* rows, int64_t columns,
                const Panel& out) {
  constexpr int64_t kStride = sizeof(PlanarPiece);
  const int flip = bias(form) == 0 ? 0 : static_cast<int>(0x80808080u);
  transpose_words(rows->level, kStride, columns / 4, flip, out.level);
  transpose_words(rows->scale, kStride, columns / form.scale_len, 0, out.scale);
  if (form.offset_len != 0) {
    transpose_words(rows->offset, kStride, columns / form.offset_len, 0, out.offset);
  }
}

PARE_INLINE __m256i row_mask(int64_t rows) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(rows)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

template <int kCount>
PARE_INLINE void begin_sums(const Core::Output& out, __m256* sums) {
  const __m256i mask = row_mask(out.rows);
  const __m256 bias_of_rows =
      out.bias != nullptr ? _mm256_maskload_ps(out.bias, mask) : _mm256_setzero_ps();
#pragma GCC unroll 4
  for (int t = 0; t < kCount; ++t) {
    sums[t] = out.first ? bias_of_rows : _mm256_maskload_ps(out.y + t * out.y_stride, mask);
  }
}

template <int kCount>
PARE_INLINE void end_sums(const Core::Output& out, const __m256* sums) {
  const __m256i mask = row_mask(out.rows);
#pragma GCC unroll 4
  for (int t = 0; t < kCount; ++t) _mm256_maskstore_ps(out.y + t * out.y_stride, mask, sums[t]);
}

PARE_INLINE __m256i broadcast_word(const int8_t* q) {
  int32_t word;
  std::memcpy(&word, q, sizeof word);
  return _mm256_set1_epi32(word);
}

// Keeps the compiler from adding a sum's terms in another order: all of them would have to be there
// at once, more than there are registers.
PARE_INLINE __m256i in_order(__m256i sum) {
  __asm__("" : "+x"(sum));
  return sum;
}

// Adds the products of kWords words of levels to integers that begin with `start`.
template <Range kRange, int kCount, int kWords>
PARE_INLINE void multiply(const uint8_t* level, const int8_t* q, const int32_t* start,
                          __m256i* dots) {
#pragma GCC unroll 4
  for (int t = 0; t < kCount; ++t) dots[t] = _mm256_set1_epi32(start[t]);
  constexpr int kStep = static_cast<int>(kRange);
  if constexpr (kStep <= 1) {
#pragma GCC unroll 8
    for (int k = 0; k < kWords; ++k) {
      const __m256i w = load_bytes(level + 32 * k);
#pragma GCC unroll 4
      for (int t = 0; t < kCount; ++t) {
        const __m256i x = broadcast_word(q + 4 * (kTokens * k + t));
        dots[t] = in_order(_mm256_add_epi32(dots[t], dot4<kRange>(w, x)));
      }
    }
  } else {
    constexpr int kRun = kStep < kWords ? kStep : kWords;
#pragma GCC unroll 8
    for (int begin = 0; begin < kWords; begin += kRun) {
      __m256i pairs[kCount];
#pragma GCC unroll 8
      for (int k = begin; k < begin + kRun; ++k) {
        const __m256i w = load_bytes(level + 32 * k);
#pragma GCC unroll 4
        for (int t = 0; t < kCount; ++t) {
          const __m256i x = broadcast_word(q + 4 * (kTokens * k + t));
          const __m256i two = _mm256_maddubs_epi16(w, x);
          pairs[t] = in_order(k == begin ? two : _mm256_add_epi16(pairs[t], two));
        }
      }
#pragma GCC unroll 4
      for (int t = 0; t < kCount; ++t) {
        dots[t] = _mm256_add_epi32(dots[t], _mm256_madd_epi16(pairs[t], _mm256_set1_epi16(1)));
      }
    }
  }
}

template <Range kRange, int kCount, int kScaleLen, int kOffsetLen>
PARE_INLINE void many_block(const Panel& panel, int64_t columns, const Int8Tile& x,
                            const Core::Output& out) {
  __m256 sums[kCount];
  begin_sums<kCount>(out, sums);
  const uint8_t* level = panel.level;
  const float* scale = panel.scale;
  const float* offset = panel.offset;
  const int8_t* q = x.q;
  const float* x_scale = x.scale;
  const float* x_sum = x.sum;
  const int32_t* start = x.start;
  for (int64_t c = 0; c < columns; c += 32) {
#pragma GCC unroll 2
    for (int part = 0; part < 32 / kScaleLen; ++part) {
      __m256i dots[kCount];
      multiply<kRange, kCount, kScaleLen / 4>(level, q, start, dots);
      const __m256 s = _mm256_load_ps(scale);
#pragma GCC unroll 4
      for (int t = 0; t < kCount; ++t) {
        const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(dots[t]), s);
        sums[t] = _mm256_fmadd_ps(product, _mm256_broadcast_ss(x_scale + t), sums[t]);
      }
      level += kScaleLen * kRows;
      q += kScaleLen * kTokens;
      scale += kRows;
      start += kTokens;
    }
    x_scale += kTokens;
    if constexpr (kOffsetLen != 0) {
#pragma GCC unroll 2
      for (int part = 0; part < 32 / kOffsetLen; ++part) {
        const __m256 o = _mm256_load_ps(offset);
#pragma GCC unroll 4
        for (int t = 0; t < kCount; ++t) {
          sums[t] = _mm256_fmadd_ps(o, _mm256_broadcast_ss(x_sum + t), sums[t]);
        }
        offset += kRows;
        x_sum += kTokens;
      }
    }
  }
  end_sums<kCount>(out, sums);
}

template <Range kRange, int kScaleLen, int kOffsetLen>
void many(const Panel& panel, int64_t columns, const Int8Tile& x, int64_t tokens,
          const Core::Output& out) {
  if (tokens == kTokens) {
    return many_block<kRange, kTokens, kScaleLen, kOffsetLen>(panel, columns, x, out);
  }
  for (int64_t t = 0; t < tokens; ++t) {
    Core::Output one = out;
    one.y += t * out.y_stride;
    const Int8Tile from = {x.q + 4 * t, x.scale + t, x.start + t,
                           kOffsetLen == 0 ? nullptr : x.sum + t};
    many_block<kRange, 1, kScaleLen, kOffsetLen>(panel, columns, from, one);
  }
}

template <Range kRange>
Core::Many choose_many_in(const PlanarForm& form) {
  if (form.offset_len == 0) return form.scale_len == 32 ? many<kRange, 32, 0> : many<kRange, 16, 0>;
  if (form.offset_len == 32) return many<kRange, 32, 32>;
  return form.scale_len == 32 ? many<kRange, 32, 16> : many<kRange, 16, 16>;
}

Core::Many choose_many(const PlanarForm& form) {
  switch (range_of(form)) {
    case Range::kSigned:
      return choose_many_in<Range::kSigned>(form);
    case Range::k127:
      return choose_many_in<Range::k127>(form);
    case Range::k32:
      return choose_many_in<Range::k32>(form);
    case Range::k16:
      break;
  }
  return choose_many_in<Range::k16>(form);
}

// --- float weights ---

void interleave_floats(const float* rows, int64_t row_stride, int64_t columns, float* out) {
  transpose_words(rows, 4 * row_stride, columns, 0, out);
}

template <int kCount>
PARE_INLINE void many_floats_block(const float* panel, int64_t columns, const float* x,
                                   const Core::Output& out) {
  __m256 sums[kCount];
  begin_sums<kCount>(out, sums);
  for (int64_t c = 0; c < columns; ++c) {
    const __m256 w = _mm256_load_ps(panel + c * kRows);
#pragma GCC unroll 4
    for (int t = 0; t < kCount; ++t) {
      sums[t] = _mm256_fmadd_ps(w, _mm256_broadcast_ss(x + c * kTokens + t), sums[t]);
    }
  }
  end_sums<kCount>(out, sums);
}

void many_floats(const float* panel, int64_t columns, const float* tile, int64_t tokens,
                 const Core::Output& out) {
  if (tokens == kTokens) return many_floats_block<kTokens>(panel, columns, tile, out);
  for (int64_t t = 0; t < tokens; ++t) {
    Core::Output one = out;
    one.y += t * out.y_stride;
    many_floats_block<1>(panel, columns, tile + t, one);
  }
}

}  // namespace
}  // namespace pare

HWY_POP_ATTRIBUTES

namespace pare {

const Core& avx2_core() {
  static const Core core = {.level = CpuLevel::kAvx2,
                            .panel_rows = kRows,
                            .tile_tokens = kTokens,
                            .few_tokens = 3,
                            .few = choose_few,
                            .bias = bias,
                            .interleave = interleave,
                            .many = choose_many,
                            .interleave_floats = interleave_floats,
                            .many_floats = many_floats};
  return core;
}

}  // namespace pare

#endif  // __x86_64__
