// Memory for vectors: aligned to cache lines, grown when asked for more, contents not kept.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace pare {

// At least `bytes` bytes, aligned to 64, on huge pages where they fill one and the system has them.
// Throws std::bad_alloc.
void* allocate_aligned(size_t bytes);
void free_aligned(void* p);

template <class T>
class AlignedBuffer {
  static_assert(std::is_trivial_v<T>);

 public:
  // At least `size` elements of unspecified value.
  T* reserve(size_t size) {
    if (size > size_) {
      data_.reset();
      size_ = 0;  // should there be no memory
      data_.reset(static_cast<T*>(allocate_aligned(size * sizeof(T))));
      size_ = size;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* p) const { free_aligned(p); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

}  // namespace pare
