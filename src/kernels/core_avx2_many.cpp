// Quantized panels and tiles for AVX2. vpmaddubsw multiplies unsigned with signed bytes and adds
// pairs in 16 bits, with saturation, so forms differ by their largest level: up to 16, eight such
// pairs can be added before they are widened; up to 32, four; up to 64, two; up to 127, one. Above,
// panels are multiplied in 16 bits.
#define PARE_MANY_TARGET "avx,avx2,bmi,bmi2,fma,f16c"
#include "kernels/many_avx2.h"

#if defined(__x86_64__)

HWY_PUSH_ATTRIBUTES(PARE_MANY_TARGET)

namespace pare {
namespace {

using namespace avx2;

// sum += products, in place. The compiler would copy the sums of every step, or reorder the steps
// until all their products had to be there at once; so it is told the instructions.
struct Maddubs {
  static PARE_METHOD void add_pairs(__m256i* sum, __m256i w, __m256i x) {
    __m256i product;
    __asm__("vpmaddubsw %[x], %[w], %[product]\n\tvpaddw %[product], %[sum], %[sum]"
            : [product] "=&x"(product), [sum] "+x"(*sum)
            : [w] "x"(w), [x] "x"(x));
  }
  static PARE_METHOD void add_fours(__m256i* sum, __m256i w, __m256i x) {
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i product;
    __asm__(
        "vpmaddubsw %[x], %[w], %[product]\n\tvpmaddwd %[ones], %[product], %[product]\n\t"
        "vpaddd %[product], %[sum], %[sum]"
        : [product] "=&x"(product), [sum] "+x"(*sum)
        : [w] "x"(w), [x] "x"(x), [ones] "xm"(ones));
  }
  static PARE_METHOD void add_wide(__m256i* sum, __m256i w, __m256i x) {
    __m256i product;
    __asm__("vpmaddwd %[x], %[w], %[product]\n\tvpaddd %[product], %[sum], %[sum]"
            : [product] "=&x"(product), [sum] "+x"(*sum)
            : [w] "x"(w), [x] "x"(x));
  }
};

}  // namespace

Core::Many avx2_many(const PlanarForm& form) {
  if (avx2_wide(form)) return choose_many<Maddubs, Range::kWide>(form);
  if (form.max_level > 64) return choose_many<Maddubs, Range::k1>(form);
  if (form.max_level > 32) return choose_many<Maddubs, Range::k2>(form);
  if (form.max_level > 16) return choose_many<Maddubs, Range::k4>(form);
  return choose_many<Maddubs, Range::k8>(form);
}

void avx2_many_wide(const Panel& panel, int64_t columns, const QuantizedTile& x, int64_t tokens,
                    const Core::Output& out) {
  many<Maddubs, Range::kWords, 32, 0>(panel, columns, x, tokens, out);
}

bool avx2_wide(const PlanarForm& form) { return form.max_level > 127; }

}  // namespace pare

HWY_POP_ATTRIBUTES

#endif  // __x86_64__
