// How each form of cache is read, a vector at a time, for each instruction set (kv_tile.h).
#include <hwy/highway.h>

// The usual guard of a per-target header.
#if defined(PARE_KV_READ_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef PARE_KV_READ_INL_H_
#undef PARE_KV_READ_INL_H_
#else
#define PARE_KV_READ_INL_H_
#endif

#include <cstring>

#include "model/exec_native/kv_tile.h"

HWY_BEFORE_NAMESPACE();
namespace pare {
namespace HWY_NAMESPACE {
namespace kv {
namespace hn = hwy::HWY_NAMESPACE;

// At most one tile's row in a vector.
using Floats = hn::CappedTag<float, kKeyTile>;
using Vector = hn::Vec<Floats>;

HWY_INLINE Vector halves(const std::byte* in, int64_t i) {
  return hn::PromoteTo(Floats(), hn::LoadU(hn::Rebind<hwy::float16_t, Floats>(),
                                           reinterpret_cast<const hwy::float16_t*>(in) + i));
}
HWY_INLINE Vector levels(const std::byte* in, int64_t i) {
  const auto bytes =
      hn::LoadU(hn::Rebind<int8_t, Floats>(), reinterpret_cast<const int8_t*>(in) + i);
  return hn::ConvertTo(Floats(), hn::PromoteTo(hn::Rebind<int32_t, Floats>(), bytes));
}
// The binary16 number at p, in all lanes.
HWY_INLINE Vector half(const std::byte* p) {
  const hn::Rebind<uint16_t, Floats> d;
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return hn::PromoteTo(Floats(),
                       hn::BitCast(hn::Rebind<hwy::float16_t, Floats>(), hn::Set(d, bits)));
}
// Bytes of two levels each, widened.
using Words = hn::Rebind<int32_t, Floats>;
HWY_INLINE hn::Vec<Words> words(const std::byte* in, int64_t i) {
  return hn::PromoteTo(
      Words(), hn::LoadU(hn::Rebind<uint8_t, Floats>(), reinterpret_cast<const uint8_t*>(in) + i));
}

// A form has keys(tile, c, i, scale, &even, &odd), columns c (even) and c + 1 of the positions i,
// i + 1, ... of a tile, and value(row, c), columns c, c + 1, ... of a row; i and c are multiples of
// the vector's length. key_scale(tile, dim, c, i) holds for the 32 columns from c, a multiple
// of 32. kColumnBytes has a column of a tile, kValueBits about so many a number of a row.
struct Unscaled {
  static HWY_INLINE Vector key_scale(const std::byte*, int64_t, int64_t, int64_t) {
    return hn::Zero(Floats());
  }
};

struct F32 : Unscaled {
  static constexpr int64_t kColumnBytes = 64, kValueBits = 32;
  static HWY_INLINE void keys(const std::byte* tile, int64_t c, int64_t i, Vector, Vector* even,
                              Vector* odd) {
    const float* in = reinterpret_cast<const float*>(tile) + c * kKeyTile + i;
    *even = hn::LoadU(Floats(), in);
    *odd = hn::LoadU(Floats(), in + kKeyTile);
  }
  static HWY_INLINE Vector value(const std::byte* row, int64_t c) {
    return hn::LoadU(Floats(), reinterpret_cast<const float*>(row) + c);
  }
};

struct F16 : Unscaled {
  static constexpr int64_t kColumnBytes = 32, kValueBits = 16;
  static HWY_INLINE void keys(const std::byte* tile, int64_t c, int64_t i, Vector, Vector* even,
                              Vector* odd) {
    *even = halves(tile, c * kKeyTile + i);
    *odd = halves(tile, (c + 1) * kKeyTile + i);
  }
  static HWY_INLINE Vector value(const std::byte* row, int64_t c) { return halves(row, c); }
};

struct Q8_0 {
  static constexpr int64_t kColumnBytes = 16, kValueBits = 8;
  static HWY_INLINE Vector key_scale(const std::byte* tile, int64_t dim, int64_t c, int64_t i) {
    return halves(tile + dim * kKeyTile, c / 32 * kKeyTile + i);
  }
  static HWY_INLINE void keys(const std::byte* tile, int64_t c, int64_t i, Vector scale,
                              Vector* even, Vector* odd) {
    *even = hn::Mul(scale, levels(tile, c * kKeyTile + i));
    *odd = hn::Mul(scale, levels(tile, (c + 1) * kKeyTile + i));
  }
  static HWY_INLINE Vector value(const std::byte* row, int64_t c) {
    const std::byte* block = row + c / 32 * 34;
    return hn::Mul(half(block), levels(block + 2, c % 32));
  }
};

// Levels less 8, times a scale of 11 bits: exact, also as a difference of products.
struct Q4_0 {
  static constexpr int64_t kColumnBytes = 8, kValueBits = 4;
  static HWY_INLINE Vector scaled(hn::Vec<Words> level, Vector scale) {
    const Vector eight = hn::Mul(scale, hn::Set(Floats(), 8.0f));
    return hn::MulSub(hn::ConvertTo(Floats(), level), scale, eight);
  }
  static HWY_INLINE Vector key_scale(const std::byte* tile, int64_t dim, int64_t c, int64_t i) {
    return halves(tile + dim / 2 * kKeyTile, c / 32 * kKeyTile + i);
  }
  static HWY_INLINE void keys(const std::byte* tile, int64_t c, int64_t i, Vector scale,
                              Vector* even, Vector* odd) {
    const auto both = words(tile, c / 2 * kKeyTile + i);
    *even = scaled(hn::And(both, hn::Set(Words(), 15)), scale);
    *odd = scaled(hn::ShiftRight<4>(both), scale);
  }
  static HWY_INLINE Vector value(const std::byte* row, int64_t c) {
    const std::byte* block = row + c / 32 * 18;
    const auto both = words(block + 2, c % 16);
    const auto level = c % 32 < 16 ? hn::And(both, hn::Set(Words(), 15)) : hn::ShiftRight<4>(both);
    return scaled(level, half(block));
  }
};

// Calls body(the form) for one of kv_forms().
template <class Body>
HWY_INLINE void with_form(CodecId form, const Body& body) {
  switch (form) {
    case CodecId::kF32:
      return body(F32());
    case CodecId::kF16:
      return body(F16());
    case CodecId::kQ8_0:
      return body(Q8_0());
    default:
      return body(Q4_0());
  }
}

}  // namespace kv
}  // namespace HWY_NAMESPACE
}  // namespace pare
HWY_AFTER_NAMESPACE();

#endif  // the guard
