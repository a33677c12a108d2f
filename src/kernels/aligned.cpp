#include "kernels/aligned.h"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace pare {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

void* allocate_aligned(size_t bytes) {
  // Kernels that walk through more than a few pages of 4 KiB spend a third of their time on
  // finding them (docs/kernels.md).
  const bool huge = bytes >= kHugePage / 2;
  const size_t unit = huge ? kHugePage : kLine, size = round_up(bytes, unit);
  void* const p = size < bytes ? nullptr : std::aligned_alloc(unit, size);
  if (p == nullptr) throw std::bad_alloc();
#if defined(__linux__)
  if (huge) madvise(p, size, MADV_HUGEPAGE);  // a wish
#endif
  return p;
}

void free_aligned(void* p) { std::free(p); }

}  // namespace pare
