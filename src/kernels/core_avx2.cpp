// The core for AVX2: panels of rows, and products of floats. core_avx2_many.cpp multiplies
// quantized panels, core_avx2_few.cpp few tokens.
#include "kernels/core_avx2.h"

#if defined(__x86_64__)

HWY_PUSH_ATTRIBUTES("avx,avx2,bmi,bmi2,fma,f16c")

namespace pare {
namespace {

using namespace avx2;

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

// Where panels are widened: of each four bytes, 0 and 1 are those that a mask leaves, 2 and 3
// those that a shift leaves.
void order_for_widening(uint8_t* level, int64_t columns) {
  const __m256i order = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15));
  for (uint8_t* end = level + columns * kRows; level < end; level += 32) {
    auto* p = reinterpret_cast<__m256i*>(level);
    _mm256_store_si256(p, _mm256_shuffle_epi8(_mm256_load_si256(p), order));
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
  avx2_interleave(form, rows, columns, out);
  if (avx2_wide(form)) order_for_widening(out.level, columns);
}

int no_bias(const PlanarForm&) { return 0; }

// --- float weights ---

void interleave_wide(const WidePiece* rows, int64_t columns, const Panel& out) {
  transpose_words(rows->level, sizeof(WidePiece), columns / 2, out.level);
  transpose_words(rows->scale, sizeof(WidePiece), columns / 32, out.scale);
}

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

void avx2_interleave(const PlanarForm& form, const PlanarPiece* rows, int64_t columns,
                     const Panel& out) {
  constexpr int64_t kStride = sizeof(PlanarPiece);
  transpose_words(rows->level, kStride, columns / 4, out.level);
  transpose_words(rows->scale, kStride, columns / form.scale_len, out.scale);
  if (form.offset_len != 0) {
    transpose_words(rows->offset, kStride, columns / form.offset_len, out.offset);
  }
}

}  // namespace pare

HWY_POP_ATTRIBUTES

namespace pare {

const Core& avx2_core() {
  static const Core core = {.level = CpuLevel::kAvx2,
                            .panel_rows = kRows,
                            .tile_tokens = kTokens,
                            .panel_columns = 2048,
                            .few = avx2_few,
                            .bias = no_bias,
                            .wide = avx2_wide,
                            .interleave = interleave,
                            .many = avx2_many,
                            .interleave_floats = interleave_floats,
                            .many_floats = many_floats,
                            .interleave_wide = interleave_wide,
                            .many_wide = avx2_many_wide};
  return core;
}

}  // namespace pare

#endif  // __x86_64__
