#include "codecs/convert.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codecs/convert.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "codecs/block_bytes.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Halves = hn::Rebind<uint16_t, Floats>;

// Loads as many 16-bit numbers as there are floats in a vector, as 32-bit words.
HWY_INLINE hn::Vec<Words> load_words(const std::byte* in, int64_t i) {
  return hn::PromoteTo(Words(), hn::LoadU(Halves(), reinterpret_cast<const uint16_t*>(in) + i));
}

HWY_INLINE void store_words(hn::Vec<Words> words, std::byte* out, int64_t i) {
  // Values fit 16 bits; DemoteTo wants signed input, and saturates, so shift both ways.
  const hn::RebindToSigned<Words> di;
  const hn::Rebind<int16_t, Floats> dh;
  const auto narrow =
      hn::DemoteTo(dh, hn::ShiftRight<16>(hn::BitCast(di, hn::ShiftLeft<16>(words))));
  hn::StoreU(hn::BitCast(Halves(), narrow), Halves(), reinterpret_cast<uint16_t*>(out) + i);
}

void Fp16ToFloats(const std::byte* in, float* out, int64_t n) {
  const Floats df;
  const Words du;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(df));
  const auto sign_mask = hn::Set(du, 0x8000u);
  const hn::RebindToSigned<Words> di;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto h = load_words(in, i);
    const auto magnitude = hn::AndNot(sign_mask, h);
    const auto sign = hn::ShiftLeft<16>(hn::And(h, sign_mask));
    // The half's exponent and mantissa in the float's places; 2^112 corrects the bias, for
    // subnormals too.
    const auto shifted = hn::ShiftLeft<13>(magnitude);
    const auto finite = hn::BitCast(du, hn::Mul(hn::BitCast(df, shifted), hn::Set(df, 0x1p112f)));
    const auto special = hn::Or(shifted, hn::Set(du, 0x7f800000u));
    const auto is_finite = hn::RebindMask(
        du, hn::Lt(hn::BitCast(di, magnitude), hn::Set(di, 0x7c00)));  // unsigned has no Lt
    const auto bits = hn::Or(hn::IfThenElse(is_finite, finite, special), sign);
    hn::StoreU(hn::BitCast(df, bits), df, out + i);
  }
  for (; i < n; ++i) out[i] = load_f16(in + 2 * i);
}

void Bf16ToFloats(const std::byte* in, float* out, int64_t n) {
  const Floats df;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::BitCast(df, hn::ShiftLeft<16>(load_words(in, i))), df, out + i);
  }
  for (; i < n; ++i) out[i] = bf16_to_float(load_u16(in + 2 * i));
}

void FloatsToFp16(const float* in, std::byte* out, int64_t n) {
  const Floats df;
  const Words du;
  const hn::RebindToSigned<Words> di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::BitCast(du, hn::LoadU(df, in + i));
    const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 0x8000u));
    const auto magnitude = hn::And(bits, hn::Set(du, 0x7fffffffu));
    const auto compared = hn::BitCast(di, magnitude);
    const auto below = [&](int32_t limit) HWY_ATTR {
      return hn::RebindMask(du, hn::Lt(compared, hn::Set(di, limit)));
    };
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1u));
    const auto normal =
        hn::ShiftRight<13>(hn::Add(hn::Sub(magnitude, hn::Set(du, 0x38000000u - 0xfffu)), odd));
    // Adding 0.5 leaves the rounded mantissa of a subnormal in the low bits.
    const auto subnormal =
        hn::Sub(hn::BitCast(du, hn::Add(hn::BitCast(df, magnitude), hn::Set(df, 0.5f))),
                hn::Set(du, 0x3f000000u));
    auto half = hn::IfThenElse(below(0x38800000), subnormal, normal);
    half = hn::IfThenElse(below(0x477ff000), half, hn::Set(du, 0x7c00u));
    half = hn::IfThenElse(below(0x7f800001), half, hn::Set(du, 0x7e00u));
    store_words(hn::Or(half, sign), out, i);
  }
  for (; i < n; ++i) store_f16(out + 2 * i, in[i]);
}

void FloatsToBf16(const float* in, std::byte* out, int64_t n) {
  const Floats df;
  const Words du;
  const hn::RebindToSigned<Words> di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto bits = hn::BitCast(du, hn::LoadU(df, in + i));
    const auto magnitude = hn::BitCast(di, hn::And(bits, hn::Set(du, 0x7fffffffu)));
    const auto is_number = hn::RebindMask(du, hn::Lt(magnitude, hn::Set(di, 0x7f800001)));
    const auto upper = hn::ShiftRight<16>(bits);
    const auto odd = hn::And(upper, hn::Set(du, 1u));
    const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fffu))));
    const auto nan = hn::Or(upper, hn::Set(du, 64u));
    store_words(hn::IfThenElse(is_number, rounded, nan), out, i);
  }
  for (; i < n; ++i) store_u16(out + 2 * i, float_to_bf16(in[i]));
}

}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace pare {
HWY_EXPORT(Fp16ToFloats);
HWY_EXPORT(Bf16ToFloats);
HWY_EXPORT(FloatsToFp16);
HWY_EXPORT(FloatsToBf16);

void fp16_to_floats(const std::byte* in, float* out, int64_t n) {
  HWY_DYNAMIC_DISPATCH(Fp16ToFloats)(in, out, n);
}
void bf16_to_floats(const std::byte* in, float* out, int64_t n) {
  HWY_DYNAMIC_DISPATCH(Bf16ToFloats)(in, out, n);
}
void floats_to_fp16(const float* in, std::byte* out, int64_t n) {
  HWY_DYNAMIC_DISPATCH(FloatsToFp16)(in, out, n);
}
void floats_to_bf16(const float* in, std::byte* out, int64_t n) {
  HWY_DYNAMIC_DISPATCH(FloatsToBf16)(in, out, n);
}

}  // namespace pare
#endif  // HWY_ONCE
