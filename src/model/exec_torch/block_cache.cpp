#include "model/exec_torch/block_cache.h"

#include <c10/core/Allocator.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <unordered_map>

namespace pare {
namespace {

constexpr size_t kSmall = size_t{256} << 10;  // smaller blocks are malloc's business
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMostCached = size_t{96} << 20;
constexpr size_t kAlignment = 64;

// Thread safe.
class BlockCache final : public c10::Allocator {
 public:
  // Not marked override: versions of libtorch differ in whether allocate is const and copy_data is
  // theirs to ask for.
  c10::DataPtr allocate(size_t bytes) const { return make(bytes); }
  c10::DataPtr allocate(size_t bytes) { return make(bytes); }
  void copy_data(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }
  c10::DeleterFnPtr raw_deleter() const { return &give_back; }

  // Never destroyed: tensors may outlive everything else.
  static BlockCache& instance() {
    static auto* cache = new BlockCache();
    return *cache;
  }

 private:
  c10::DataPtr make(size_t bytes) const {
    void* block = bytes == 0 ? nullptr : take(bytes);
    return {block, block, &give_back, c10::Device(c10::DeviceType::CPU)};
  }
  static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

  void* take(size_t bytes) const {
    const size_t size = round_up(bytes, bytes < kSmall ? kAlignment : kSmall);
    if (size < kSmall) return fresh(kAlignment, size);
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = free_.find(size); found != free_.end()) {
        void* block = found->second;
        free_.erase(found);
        cached_ -= size;
        size_of_[block] = size;
        return block;
      }
    }
    void* block = fresh(size < kHugePage ? kAlignment : kHugePage, size);
    if (size >= kHugePage) madvise(block, size, MADV_HUGEPAGE);  // a wish: failure is no error
    const std::lock_guard lock(mutex_);
    size_of_[block] = size;
    return block;
  }

  static void* fresh(size_t alignment, size_t size) {
    void* block = std::aligned_alloc(alignment, round_up(size, alignment));
    if (block == nullptr) throw std::bad_alloc();
    return block;
  }

  static void give_back(void* block) { instance().release(block); }
  void release(void* block) {
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = size_of_.find(block); found != size_of_.end()) {
        const size_t size = found->second;
        size_of_.erase(found);
        if (cached_ + size <= kMostCached) {
          free_.emplace(size, block);
          cached_ += size;
          return;
        }
      }
    }
    std::free(block);
  }

  mutable std::mutex mutex_;
  mutable std::unordered_map<void*, size_t> size_of_;    // of large blocks in use
  mutable std::unordered_multimap<size_t, void*> free_;  // by size
  mutable size_t cached_ = 0;
};

}  // namespace

void install_block_cache() { c10::SetAllocator(c10::DeviceType::CPU, &BlockCache::instance(), 1); }

}  // namespace pare
