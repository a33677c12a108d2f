// Products of bfloat16 by AMX: a tile instruction multiplies 16 rows of 32 numbers with 32 rows of
// 16 and adds the 256 sums to a tile, in 16 cycles. Two tiles of rows by two of tokens need one
// load of a tile for each product, which the caches can give.
#include "kernels/core.h"

#if defined(__x86_64__)

#include <hwy/base.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 finds the undefined lanes that its own intrinsics begin with.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

HWY_PUSH_ATTRIBUTES(
    "avx2,bmi,bmi2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,amx-tile,"
    "amx-bf16")
#define PARE_INLINE static inline __attribute__((always_inline))

#include "kernels/transpose_avx512.h"

namespace pare {
namespace {

constexpr int64_t kRows = Bf16Core::kRows, kTokens = Bf16Core::kTokens;
constexpr int64_t kColumns = Bf16Core::kColumns;
constexpr int64_t kTile = Bf16Layout::kTile, kStep = Bf16Layout::kStep;
constexpr int64_t kSums = kRows * kTokens;

// --- making bfloat16 ---

PARE_INLINE __m512i pack(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

template <int kScaleLen, int kOffsetLen>
void from_planar(const PlanarForm& form, const PlanarPiece& piece, int64_t columns, uint16_t* out,
                 int64_t step) {
  const __m512i zero = _mm512_set1_epi32(form.zero);
  const auto values = [&](int64_t c) __attribute__((always_inline)) {
    const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(piece.level + c));
    const __m512 level = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), zero));
    const __m512 scale = _mm512_set1_ps(piece.scale[c / kScaleLen]);
    if constexpr (kOffsetLen == 0) {
      return _mm512_mul_ps(level, scale);
    } else {
      return _mm512_fmadd_ps(level, scale, _mm512_set1_ps(piece.offset[c / kOffsetLen]));
    }
  };
  for (int64_t c = 0; c < columns; c += kColumns, out += step) {
    _mm512_storeu_si512(out, pack(values(c), values(c + 16)));
  }
}

void any_from_planar(const PlanarForm& form, const PlanarPiece& piece, int64_t columns,
                     uint16_t* out, int64_t step) {
  if (form.offset_len == 0) {
    if (form.scale_len == 32) return from_planar<32, 0>(form, piece, columns, out, step);
    return from_planar<16, 0>(form, piece, columns, out, step);
  }
  if (form.offset_len == 32) return from_planar<32, 32>(form, piece, columns, out, step);
  if (form.scale_len == 32) return from_planar<32, 16>(form, piece, columns, out, step);
  from_planar<16, 16>(form, piece, columns, out, step);
}

PARE_INLINE __m512 as_floats(__m512i packed, bool high) {
  const __m256i half = high ? _mm512_extracti64x4_epi64(packed, 1) : _mm512_castsi512_si256(packed);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

void from_floats(const float* in, int64_t columns, int parts, uint16_t* out, int64_t step,
                 int64_t part_stride) {
  for (int64_t c = 0; c < columns; c += kColumns, out += step) {
    const auto left = [&](int64_t begin) {
      const int64_t n = std::clamp<int64_t>(columns - begin, 0, 16);
      return static_cast<__mmask16>((1u << n) - 1);
    };
    __m512 low = _mm512_maskz_loadu_ps(left(c), in + c);
    __m512 high = _mm512_maskz_loadu_ps(left(c + 16), in + c + 16);
    for (int part = 0; part < parts; ++part) {
      const __m512i nearest = pack(low, high);
      _mm512_storeu_si512(out + part * part_stride, nearest);
      low = _mm512_sub_ps(low, as_floats(nearest, false));
      high = _mm512_sub_ps(high, as_floats(nearest, true));
    }
  }
}

void interleave(const uint16_t* rows, int64_t stride, int64_t columns, uint16_t* out) {
  for (int64_t c = 0; c < columns; c += kColumns, out += kStep) {
    __m512i pairs[16];
    transpose(reinterpret_cast<const uint32_t*>(rows + c), stride / 2, pairs);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + 32 * i, pairs[i]);
  }
}

// The nearest bfloat16 of each float, in the low half of its lane.
PARE_INLINE __m512i rounded(__m512 x) {
  return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}

void interleave_columns(const float* x, int64_t stride, int64_t columns, int parts, uint16_t* out,
                        int64_t part_stride) {
  for (int64_t begin = 0; begin < columns; begin += kColumns, out += kStep) {
    uint16_t* to = out;
    for (int64_t c = begin; c < begin + kColumns; c += 2, to += 32) {
      __m512 a = _mm512_loadu_ps(x + c * stride), b = _mm512_loadu_ps(x + (c + 1) * stride);
      for (int part = 0; part < parts; ++part) {
        const __m512i of_a = rounded(a), of_b = _mm512_slli_epi32(rounded(b), 16);
        _mm512_storeu_si512(to + part * part_stride, _mm512_or_si512(of_a, of_b));
        a = _mm512_sub_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32(of_a, 16)));
        b = _mm512_sub_ps(b, _mm512_castsi512_ps(of_b));
      }
    }
  }
}

// --- products ---

// The shape of tiles, for as long as it lives. Tiles 0 to 3 hold sums, 4 and 5 weights, 6 and 7
// activations.
class Tiles {
 public:
  Tiles() {
    Config config;
    for (int i = 0; i < 8; ++i) {
      config.row_bytes[i] = 64;
      config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 private:
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  };
};

// Compilers may not move what they write and read in memory over tile instructions, which some of
// them do not know to touch memory.
PARE_INLINE void fence() { __asm__ volatile("" ::: "memory"); }

// Lines of the tokens that come next, asked for with each 32 columns of a pair of row tiles.
constexpr int64_t kLinesAhead = 4;

// kR tiles of rows by kT of tokens. sums of a token tile are `sums_stride` apart. `ahead`: how much
// further on lies what is to be asked for, or 0.
template <int kR, int kT>
PARE_INLINE void block(const Bf16Panel& w, const Bf16Tiles& x, int64_t columns, bool first,
                       float* sums, int64_t sums_stride, int64_t ahead) {
  fence();
  if (first) {
    _tile_zero(0);
    if constexpr (kT == 2) _tile_zero(1);
    if constexpr (kR == 2) _tile_zero(2);
    if constexpr (kR == 2 && kT == 2) _tile_zero(3);
  } else {
    _tile_loadd(0, sums, 64);
    if constexpr (kT == 2) _tile_loadd(1, sums + sums_stride, 64);
    if constexpr (kR == 2) _tile_loadd(2, sums + kSums, 64);
    if constexpr (kR == 2 && kT == 2) _tile_loadd(3, sums + sums_stride + kSums, 64);
  }
  const uint16_t* from = w.w;
  const uint16_t* with = x.x;
  for (int64_t c = 0; c < columns; c += kColumns, from += kStep, with += kStep) {
    for (int part_w = 0; part_w < w.parts; ++part_w) {
      const uint16_t* const from_part = from + part_w * w.part_stride;
      _tile_stream_loadd(4, from_part, 64);
      if constexpr (kR == 2) _tile_stream_loadd(5, from_part + kTile, 64);
      const int end_x = std::min(x.parts, std::max(w.parts, x.parts) - part_w);
      for (int part_x = 0; part_x < end_x; ++part_x) {
        const uint16_t* const with_part = with + part_x * x.part_stride;
        _tile_loadd(6, with_part, 64);
        _tile_dpbf16ps(0, 4, 6);
        if constexpr (kT == 2) {
          _tile_loadd(7, with_part + kTile, 64);
          _tile_dpbf16ps(1, 4, 7);
        }
        if constexpr (kR == 2) _tile_dpbf16ps(2, 5, 6);
        if constexpr (kR == 2 && kT == 2) _tile_dpbf16ps(3, 5, 7);
        if (part_w != 0 || ahead == 0) continue;
        for (int64_t i = 0; i < kLinesAhead; ++i) {
          _mm_prefetch(with_part + ahead + 32 * i, _MM_HINT_T1);
        }
      }
    }
  }
  _tile_stored(0, sums, 64);
  if constexpr (kT == 2) _tile_stored(1, sums + sums_stride, 64);
  if constexpr (kR == 2) _tile_stored(2, sums + kSums, 64);
  if constexpr (kR == 2 && kT == 2) _tile_stored(3, sums + sums_stride + kSums, 64);
  fence();
}

// Of all parts of activations, half the first-level cache, where 32 tokens stay while the rows
// pass: weights are read by instructions that leave nothing there.
constexpr int64_t kColumnsAtOnce = 512;

void multiply(const Bf16Panel& w, const Bf16Tiles& x, int64_t columns, bool first, float* sums) {
  const Tiles tiles;
  const int64_t row_tiles = (w.rows + kRows - 1) / kRows;
  const int64_t token_tiles = (x.tokens + kTokens - 1) / kTokens;
  const int64_t sums_stride = row_tiles * kSums;
  const int64_t at_once = kColumnsAtOnce / x.parts / kColumns * kColumns;
  for (int64_t t = 0; t < token_tiles; t += 2) {
    const bool two_tokens = t + 1 < token_tiles;
    for (int64_t c = 0; c < columns; c += at_once) {
      const int64_t n = std::min(at_once, columns - c);
      const bool start = first && c == 0;
      Bf16Tiles with = x;
      with.x += Bf16Layout::tile(t, x.pair_stride) + c / kColumns * kStep;
      for (int64_t r = 0; r < row_tiles; r += 2) {
        Bf16Panel from = w;
        from.w += Bf16Layout::tile(r, w.pair_stride) + c / kColumns * kStep;
        // Each pair of row tiles asks for its share of the next tokens.
        const int64_t share = r / 2 * kLinesAhead * 32;
        const int64_t ahead = x.more && share < kStep ? x.pair_stride + share : 0;
        float* out = sums + t * sums_stride + r * kSums;
        if (r + 1 < row_tiles) {
          two_tokens ? block<2, 2>(from, with, n, start, out, sums_stride, ahead)
                     : block<2, 1>(from, with, n, start, out, sums_stride, ahead);
        } else {
          two_tokens ? block<1, 2>(from, with, n, start, out, sums_stride, ahead)
                     : block<1, 1>(from, with, n, start, out, sums_stride, ahead);
        }
      }
    }
  }
}

void finish(const float* sums, int64_t stride, int64_t rows, int64_t tokens, const float* bias,
            float* y, int64_t y_stride) {
  for (int64_t t = 0; t < tokens; t += kTokens, sums += stride) {
    for (int64_t r = 0; r < rows; r += kRows) {
      const int64_t n = std::min(kTokens, tokens - t);
      const auto mask = static_cast<__mmask16>((1u << std::min(kRows, rows - r)) - 1);
      const __m512 shift =
          bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, bias + r);
      __m512i by_token[16];
      transpose(reinterpret_cast<const uint32_t*>(sums + r * kTokens), kTokens, by_token);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        if (i >= n) break;
        _mm512_mask_storeu_ps(y + (t + i) * y_stride + r, mask,
                              _mm512_add_ps(_mm512_castsi512_ps(by_token[i]), shift));
      }
    }
  }
}

}  // namespace
}  // namespace pare

HWY_POP_ATTRIBUTES

namespace pare {

// AVX-512's, but for products with many tokens.
const Core& amx_core() {
  static const Bf16Core bf16 = {.from_planar = any_from_planar,
                                .from_floats = from_floats,
                                .interleave = interleave,
                                .interleave_columns = interleave_columns,
                                .multiply = multiply,
                                .finish = finish};
  static const Core core = [] {
    Core c = avx512_core();
    c.level = CpuLevel::kAmx;
    c.bf16 = &bf16;
    return c;
  }();
  return core;
}

}  // namespace pare

#endif  // __x86_64__
