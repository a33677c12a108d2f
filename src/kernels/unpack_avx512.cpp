// Unpackers for AVX-512 of the codecs that have spans.
#include "kernels/unpack.h"

#if defined(__x86_64__)

#include <hwy/base.h>

#include "kernels/span_avx512.h"

HWY_PUSH_ATTRIBUTES("avx2,bmi,bmi2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

namespace pare {
namespace {

PARE_INLINE void store(__m256 v, float* out) { _mm256_store_ps(out, v); }
PARE_INLINE void store(__m512 v, float* out) { _mm512_store_ps(out, v); }

template <class C>
PARE_INLINE void put_span(const uint8_t* in, int64_t column, PlanarPiece* out) {
  span::Span<C> s;
  C::load(in, &s);
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) _mm512_store_si512(out->level + column + 64 * j, s.level[j]);
  store(s.scale, out->scale + column / C::kForm.scale_len);
  if constexpr (C::kForm.offset_len != 0) {
    store(s.offset, out->offset + column / C::kForm.offset_len);
  }
}

template <class C>
void unpack(const std::byte* bytes, int64_t columns, PlanarPiece* out) {
  constexpr int kSpanBytes = span::kSpanColumns / C::kColumns * C::kBytes;
  const auto* in = reinterpret_cast<const uint8_t*>(bytes);
  int64_t c = 0;
  for (; c + span::kSpanColumns <= columns; c += span::kSpanColumns, in += kSpanBytes) {
    put_span<C>(in, c, out);
  }
  if (C::kColumns < span::kSpanColumns && c < columns) {
    put_span<C>(span::Tail<C>(in, columns - c).data(), c, out);
  }
}

template <class... C>
std::span<const Unpacker> table(span::Codecs<C...>) {
  static const Unpacker kUnpackers[] = {{"avx512", C::kId, C::kForm, unpack<C>}...};
  return kUnpackers;
}

}  // namespace
}  // namespace pare

HWY_POP_ATTRIBUTES

namespace pare {

std::span<const Unpacker> avx512_unpackers(CpuLevel level) {
  if (level == CpuLevel::kAvx512 || level == CpuLevel::kAmx) return table(span::All());
  return {};
}

}  // namespace pare

#else

namespace pare {
std::span<const Unpacker> avx512_unpackers(CpuLevel) { return {}; }
}  // namespace pare

#endif  // __x86_64__
