// The core for AVX2. vpmaddubsw multiplies unsigned with signed bytes and adds pairs in 16 bits,
// with saturation, so forms differ by their largest level: up to 16, eight such pairs can be added
// before they are widened; up to 32, four; up to 64, two; up to 127, one. Above, panels are
// multiplied in 16 bits.
#include "kernels/core_avx2.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#include <cstring>

#include "base/check.h"

HWY_PUSH_ATTRIBUTES("avx,avx2,bmi,bmi2,fma,f16c")
#define PARE_INLINE static inline __attribute__((always_inline))
#define PARE_METHOD inline __attribute__((always_inline))

namespace pare {
namespace {

constexpr int kRows = 16;   // of a panel: two registers
constexpr int kTokens = 6;  // of a tile: with two sums each, and operands, they fill 16 registers

// How many steps of vpmaddubsw are added in 16 bits; kWide: none.
enum class Range { kWide = 0, k127 = 1, k64 = 2, k32 = 4, k16 = 8 };

Range range_of(const PlanarForm& form) {
  if (form.max_level > 127) return Range::kWide;
  if (form.max_level > 64) return Range::k127;
  if (form.max_level > 32) return Range::k64;
  return form.max_level > 16 ? Range::k32 : Range::k16;
}

// Of forms with offsets, only that of the plain unpackers has levels that begin below zero.
constexpr bool has_zero(int scale_len, int offset_len) {
  return offset_len == 0 || (scale_len == 16 && offset_len == 16);
}

PARE_INLINE __m256i load_bytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// Eight rows of eight words, `stride` words apart, as columns kRows apart.
PARE_INLINE void transpose(const uint32_t* in, int64_t stride, uint32_t* out) {
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int r = 0; r < 8; ++r) a[r] = _mm256_castsi256_ps(load_bytes(in + r * stride));
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
    _mm256_store_ps(to + kRows * c, _mm256_permute2f128_ps(a[c], a[4 + c], 0x20));
    _mm256_store_ps(to + kRows * (4 + c), _mm256_permute2f128_ps(a[c], a[4 + c], 0x31));
  }
}

void transpose_words(const void* in, int64_t row_bytes, int64_t words, void* out) {
  const int64_t stride = row_bytes / 4;
  for (int64_t w = 0; w < words; w += 8) {
    const auto* from = static_cast<const uint32_t*>(in) + w;
    auto* to = static_cast<uint32_t*>(out) + w * kRows;
    transpose(from, stride, to);
    transpose(from + 8 * stride, stride, to + 8);
  }
}

void interleave(const PlanarForm& form, const PlanarPiece* rows, int64_t columns,
                const Panel& out) {
  constexpr int64_t kStride = sizeof(PlanarPiece);
  transpose_words(rows->level, kStride, columns / 4, out.level);
  transpose_words(rows->scale, kStride, columns / form.scale_len, out.scale);
  if (form.offset_len != 0) {
    transpose_words(rows->offset, kStride, columns / form.offset_len, out.offset);
  }
}

int no_bias(const PlanarForm&) { return 0; }
bool wide(const PlanarForm& form) { return range_of(form) == Range::kWide; }

PARE_INLINE __m256i row_mask(int64_t rows) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(rows)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// Sums of a tile, [tokens][2] registers, in the first-level cache: those of integers need all
// registers that there are.
class Kept {
 public:
  PARE_METHOD explicit Kept(float* memory) : at_(memory) {}
  PARE_METHOD __m256 get(int t, int v) const { return _mm256_load_ps(at_ + 16 * t + 8 * v); }
  PARE_METHOD void set(int t, int v, __m256 sum) const {
    _mm256_store_ps(at_ + 16 * t + 8 * v, sum);
  }
  PARE_METHOD __m256i get_integers(int t, int v) const { return _mm256_castps_si256(get(t, v)); }
  PARE_METHOD void set(int t, int v, __m256i sum) const { set(t, v, _mm256_castsi256_ps(sum)); }

 private:
  float* at_;
};

// The compiler would keep copies of sums elsewhere, and store all of them twice.
PARE_INLINE void stay_in_memory() { __asm__ volatile("" : : : "memory"); }

template <int kCount>
PARE_INLINE void begin_sums(const Core::Output& out, const Kept& sums) {
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v) {
    const __m256i mask = row_mask(out.rows - 8 * v);
    const __m256 bias =
        out.bias != nullptr ? _mm256_maskload_ps(out.bias + 8 * v, mask) : _mm256_setzero_ps();
    for (int t = 0; t < kCount; ++t) {
      const float* y = out.y + t * out.y_stride + 8 * v;
      sums.set(t, v, out.first ? bias : _mm256_maskload_ps(y, mask));
    }
  }
}

template <int kCount>
PARE_INLINE void end_sums(const Core::Output& out, const Kept& sums) {
#pragma GCC unroll 2
  for (int v = 0; v < 2; ++v) {
    const __m256i mask = row_mask(out.rows - 8 * v);
    for (int t = 0; t < kCount; ++t) {
      _mm256_maskstore_ps(out.y + t * out.y_stride + 8 * v, mask, sums.get(t, v));
    }
  }
}

// Four bytes or two 16-bit integers, eight times.
PARE_INLINE __m256i broadcast_word(const void* p) {
  int32_t word;
  std::memcpy(&word, p, sizeof word);
  return _mm256_set1_epi32(word);
}

// sum += products, in place. The compiler would copy the sums of every step, or reorder the steps
// until all their products had to be there at once; so it is told the instructions.
//
// Products of bytes, of which pairs are added, in 16 bits.
PARE_INLINE void add_pairs(__m256i* sum, __m256i w, __m256i x) {
  __m256i product;
  __asm__("vpmaddubsw %[x], %[w], %[product]\n\tvpaddw %[product], %[sum], %[sum]"
          : [product] "=&x"(product), [sum] "+x"(*sum)
          : [w] "x"(w), [x] "x"(x));
}
// Products of bytes, of which fours are added, in 32 bits.
PARE_INLINE void add_fours(__m256i* sum, __m256i w, __m256i x, __m256i ones) {
  __m256i product;
  __asm__(
      "vpmaddubsw %[x], %[w], %[product]\n\tvpmaddwd %[ones], %[product], %[product]\n\t"
      "vpaddd %[product], %[sum], %[sum]"
      : [product] "=&x"(product), [sum] "+x"(*sum)
      : [w] "x"(w), [x] "x"(x), [ones] "xm"(ones));
}
// Products of 16-bit integers, of which pairs are added, in 32 bits.
PARE_INLINE void add_wide(__m256i* sum, __m256i w, __m256i x) {
  __m256i product;
  __asm__("vpmaddwd %[x], %[w], %[product]\n\tvpaddd %[product], %[sum], %[sum]"
          : [product] "=&x"(product), [sum] "+x"(*sum)
          : [w] "x"(w), [x] "x"(x));
}

// Calls finish(t, v, sums) with `start` plus the products of kWords words of levels, rows
// 8 v .. 8 v + 7, and token t.
template <Range kRange, int kCount, int kWords, bool kStart, class Finish>
PARE_INLINE void multiply(const uint8_t* level, const int8_t* q, const int32_t* start,
                          const Finish& finish) {
  const __m256i ones = _mm256_set1_epi16(1);
  constexpr int kStep = static_cast<int>(kRange);
  if constexpr (kStep <= 1) {
    __m256i dots[kCount][2];
#pragma GCC unroll 6
    for (int t = 0; t < kCount; ++t) {
      dots[t][0] = dots[t][1] = kStart ? broadcast_word(start + t) : _mm256_setzero_si256();
    }
    const auto add = [&](__m256i w0, __m256i w1, const int8_t* words)
        __attribute__((always_inline)) {
#pragma GCC unroll 6
      for (int t = 0; t < kCount; ++t) {
        const __m256i x = broadcast_word(words + 4 * t);
        if constexpr (kRange == Range::kWide) {
          add_wide(&dots[t][0], w0, x);
          add_wide(&dots[t][1], w1, x);
        } else {
          add_fours(&dots[t][0], w0, x, ones);
          add_fours(&dots[t][1], w1, x, ones);
        }
      }
    };
#pragma GCC unroll 8
    for (int k = 0; k < kWords; ++k) {
      const __m256i w0 = load_bytes(level + 64 * k), w1 = load_bytes(level + 64 * k + 32);
      if constexpr (kRange == Range::kWide) {
        const __m256i even = _mm256_set1_epi16(255);
        add(_mm256_and_si256(w0, even), _mm256_and_si256(w1, even), q + 8 * kTokens * k);
        add(_mm256_srli_epi16(w0, 8), _mm256_srli_epi16(w1, 8), q + 8 * kTokens * k + 4 * kTokens);
      } else {
        add(w0, w1, q + 4 * kTokens * k);
      }
    }
#pragma GCC unroll 6
    for (int t = 0; t < kCount; ++t) {
      finish(t, 0, dots[t][0]);
      finish(t, 1, dots[t][1]);
    }
  } else {
    constexpr int kRun = kStep < kWords ? kStep : kWords;
    alignas(32) float memory[16 * kCount];
    const Kept earlier(memory);
#pragma GCC unroll 4
    for (int begin = 0; begin < kWords; begin += kRun) {
      __m256i pairs[kCount][2];
#pragma GCC unroll 8
      for (int k = begin; k < begin + kRun; ++k) {
        const __m256i w0 = load_bytes(level + 64 * k), w1 = load_bytes(level + 64 * k + 32);
#pragma GCC unroll 6
        for (int t = 0; t < kCount; ++t) {
          const __m256i x = broadcast_word(q + 4 * (kTokens * k + t));
          if (k == begin) {
            pairs[t][0] = _mm256_maddubs_epi16(w0, x);
            pairs[t][1] = _mm256_maddubs_epi16(w1, x);
          } else {
            add_pairs(&pairs[t][0], w0, x);
            add_pairs(&pairs[t][1], w1, x);
          }
        }
      }
#pragma GCC unroll 6
      for (int t = 0; t < kCount; ++t) {
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
          __m256i dots = _mm256_madd_epi16(pairs[t][v], ones);
          if (begin != 0) {
            dots = _mm256_add_epi32(dots, earlier.get_integers(t, v));
          } else if (kStart) {
            dots = _mm256_add_epi32(dots, broadcast_word(start + t));
          }
          if (begin + kRun == kWords) {
            finish(t, v, dots);
          } else {
            earlier.set(t, v, dots);
          }
        }
      }
    }
  }
}

template <Range kRange, int kCount, int kScaleLen, int kOffsetLen>
PARE_INLINE void many_block(const Panel& panel, int64_t columns, const Int8Tile& x,
                            const Core::Output& out) {
  alignas(32) float memory[16 * kCount];
  const Kept sums(memory);
  begin_sums<kCount>(out, sums);
  constexpr int kOffsets = kOffsetLen == 0 ? 0 : kScaleLen / kOffsetLen;  // of each scale
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
      multiply<kRange, kCount, kScaleLen / 4, has_zero(kScaleLen, kOffsetLen)>(
          level, q, start, [&](int t, int v, __m256i dots) __attribute__((always_inline)) {
            const __m256 s = _mm256_load_ps(scale + 8 * v);
            const __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(dots), s);
            __m256 sum = sums.get(t, v);
            sum = _mm256_fmadd_ps(product, _mm256_broadcast_ss(x_scale + t), sum);
#pragma GCC unroll 2
            for (int i = 0; i < kOffsets; ++i) {
              sum = _mm256_fmadd_ps(_mm256_load_ps(offset + kRows * i + 8 * v),
                                    _mm256_broadcast_ss(x_sum + kTokens * i + t), sum);
            }
            sums.set(t, v, sum);
          });
      level += kScaleLen * kRows;
      q += kScaleLen * kTokens * (kRange == Range::kWide ? 2 : 1);
      scale += kRows;
      offset += kOffsets * kRows;
      x_sum += kOffsets * kTokens;
      start += kTokens;
    }
    x_scale += kTokens;
    stay_in_memory();
  }
  end_sums<kCount>(out, sums);
}

Core::Output advanced(const Core::Output& out, int64_t tokens) {
  Core::Output next = out;
  next.y += tokens * out.y_stride;
  return next;
}

template <Range kRange, int kScaleLen, int kOffsetLen>
void many(const Panel& panel, int64_t columns, const Int8Tile& x, int64_t tokens,
          const Core::Output& out) {
  if (tokens == kTokens) {
    return many_block<kRange, kTokens, kScaleLen, kOffsetLen>(panel, columns, x, out);
  }
  int64_t t = 0;
  const auto from = [&] {
    return Int8Tile{x.q + 4 * t, x.scale + t, x.start + t, kOffsetLen == 0 ? nullptr : x.sum + t};
  };
  for (; t + 2 <= tokens; t += 2) {
    many_block<kRange, 2, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
  }
  if (t < tokens) {
    many_block<kRange, 1, kScaleLen, kOffsetLen>(panel, columns, from(), advanced(out, t));
  }
}

template <Range kRange>
Core::Many choose_many_in(const PlanarForm& form) {
  if (form.offset_len == 0) return form.scale_len == 32 ? many<kRange, 32, 0> : many<kRange, 16, 0>;
  if (form.offset_len == 32) return many<kRange, 32, 32>;
  return form.scale_len == 32 ? many<kRange, 32, 16> : many<kRange, 16, 16>;
}

Core::Many choose_many(const PlanarForm& form) {
  PARE_CHECK(has_zero(form.scale_len, form.offset_len) || form.zero == 0,
             "no form with this zero and these offsets is known");
  switch (range_of(form)) {
    case Range::kWide:
      return choose_many_in<Range::kWide>(form);
    case Range::k127:
      return choose_many_in<Range::k127>(form);
    case Range::k64:
      return choose_many_in<Range::k64>(form);
    case Range::k32:
      return choose_many_in<Range::k32>(form);
    case Range::k16:
      break;
  }
  return choose_many_in<Range::k16>(form);
}

// --- float weights ---

void interleave_floats(const float* rows, int64_t row_stride, int64_t columns, float* out) {
  transpose_words(rows, 4 * row_stride, columns, out);
}

template <int kCount>
PARE_INLINE void many_floats_block(const float* panel, int64_t columns, const float* x,
                                   const Core::Output& out) {
  alignas(32) float memory[16 * kCount];
  const Kept kept(memory);
  begin_sums<kCount>(out, kept);
  __m256 sums[kCount][2];
#pragma GCC unroll 6
  for (int t = 0; t < kCount; ++t) sums[t][0] = kept.get(t, 0), sums[t][1] = kept.get(t, 1);
  for (int64_t c = 0; c < columns; ++c) {
    const __m256 w0 = _mm256_load_ps(panel + c * kRows), w1 = _mm256_load_ps(panel + c * kRows + 8);
#pragma GCC unroll 6
    for (int t = 0; t < kCount; ++t) {
      const __m256 v = _mm256_broadcast_ss(x + c * kTokens + t);
      sums[t][0] = _mm256_fmadd_ps(w0, v, sums[t][0]);
      sums[t][1] = _mm256_fmadd_ps(w1, v, sums[t][1]);
    }
  }
#pragma GCC unroll 6
  for (int t = 0; t < kCount; ++t) kept.set(t, 0, sums[t][0]), kept.set(t, 1, sums[t][1]);
  end_sums<kCount>(out, kept);
}

void many_floats(const float* panel, int64_t columns, const float* tile, int64_t tokens,
                 const Core::Output& out) {
  if (tokens == kTokens) return many_floats_block<kTokens>(panel, columns, tile, out);
  int64_t t = 0;
  for (; t + 2 <= tokens; t += 2) {
    many_floats_block<2>(panel, columns, tile + t, advanced(out, t));
  }
  if (t < tokens) many_floats_block<1>(panel, columns, tile + t, advanced(out, t));
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
                            .few = avx2_few,
                            .bias = no_bias,
                            .wide = wide,
                            .interleave = interleave,
                            .many = choose_many,
                            .interleave_floats = interleave_floats,
                            .many_floats = many_floats};
  return core;
}

}  // namespace pare

#endif  // __x86_64__
