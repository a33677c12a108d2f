// Memory for vectors: aligned to cache lines, grown when asked for more, contents not kept.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

namespace pare {

template <class T>
class AlignedBuffer {
  static_assert(std::is_trivial_v<T>);

 public:
  // At least `size` elements of unspecified value.
  T* reserve(size_t size) {
    if (size > size_) {
      data_.reset(static_cast<T*>(::operator new(size * sizeof(T), kAlign)));
      size_ = size;
    }
    return data_.get();
  }
  T* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlign{64};
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kAlign); }
  };
  std::unique_ptr<T, Free> data_;
  size_t size_ = 0;
};

}  // namespace pare
