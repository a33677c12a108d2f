// For tests: a device for torch that is as strict as a GPU and needs none. Its addresses cannot be
// read by the CPU (a program that tries is killed), and an operation on tensors of the device and
// of the CPU together is an error, but for copies and scalars. The CPU computes on the memory
// behind the addresses, so results are the CPU's.
//
// Include it in one file of a test program: it registers itself.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <sys/mman.h>
#include <torch/library.h>
#include <torch/types.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/check.h"

namespace pare::far {

inline const torch::Device kDevice(torch::kPrivateUse1, 0);

// Addresses that nothing may touch, each with memory behind it.
class Memory final : public c10::Allocator {
 public:
  // Not marked override: versions of libtorch differ in whether allocate is const and copy_data is
  // theirs to ask for.
  c10::DataPtr allocate(size_t bytes) const { return make(bytes); }
  c10::DataPtr allocate(size_t bytes) { return make(bytes); }
  void copy_data(void* to, const void* from, size_t bytes) const {
    std::memcpy(behind(to), behind(const_cast<void*>(from)), bytes);
  }
  c10::DeleterFnPtr raw_deleter() const { return &give_back; }

  // The memory behind the start of a block.
  void* behind(void* address) const {
    const std::lock_guard lock(mutex_);
    return blocks_.at(address).data();
  }

  // So many bytes at most from now on; a program that wants more gets what a GPU's allocator
  // throws.
  void limit(size_t bytes) { limit_ = bytes; }

  static Memory& instance() {
    static auto* memory = new Memory();
    return *memory;
  }

 private:
  c10::DataPtr make(size_t bytes) const {
    const size_t size = std::max<size_t>(bytes, 1);
    const std::lock_guard lock(mutex_);
    TORCH_CHECK_WITH(OutOfMemoryError, size <= limit_ && used_ <= limit_ - size,
                     "out of memory. Tried to allocate ", size, " bytes.");
    used_ += size;
    void* const address = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    PARE_CHECK(address != MAP_FAILED, "mmap");
    blocks_[address] = std::vector<std::byte>(size);
    return {address, address, &give_back, kDevice};
  }
  static void give_back(void* address) {
    Memory& memory = instance();
    const std::lock_guard lock(memory.mutex_);
    const auto block = memory.blocks_.find(address);
    ::munmap(address, block->second.size());
    memory.used_ -= block->second.size();
    memory.blocks_.erase(block);
  }

  mutable std::mutex mutex_;
  mutable std::map<void*, std::vector<std::byte>> blocks_;
  mutable size_t used_ = 0;
  size_t limit_ = SIZE_MAX;
};

inline bool is_far(const at::Tensor& t) {
  return t.defined() && t.device().type() == at::kPrivateUse1;
}

inline void* start_of(const at::Tensor& t) {
  return const_cast<void*>(t.storage().unsafeGetStorageImpl()->data());
}

// A tensor of the CPU on the same memory.
inline at::Tensor near_of(const at::Tensor& t) {
  const auto options = t.options().device(at::kCPU);
  if (t.numel() == 0) return at::empty(t.sizes(), options);
  const auto elements = static_cast<int64_t>(t.storage().nbytes() / t.element_size());
  return at::from_blob(Memory::instance().behind(start_of(t)), {elements}, options)
      .as_strided(t.sizes(), t.strides(), t.storage_offset());
}

inline at::Tensor make(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType type) {
  int64_t elements = 1;
  for (size_t i = 0; i < sizes.size(); ++i) {
    elements = sizes[i] == 0 ? 0 : elements + (sizes[i] - 1) * strides[i];
    if (elements == 0) break;
  }
  const auto bytes = static_cast<size_t>(elements) * c10::elementSize(type);
  c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, Memory::instance().allocate(bytes),
                       &Memory::instance(), /*resizable=*/true);
  at::Tensor made = at::detail::make_tensor<c10::TensorImpl>(
      std::move(storage), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
      c10::scalarTypeToTypeMeta(type));
  made.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  return made;
}

inline at::Tensor far_of(const at::Tensor& t) {
  at::Tensor made = make(t.sizes(), t.strides(), t.scalar_type());
  if (t.numel() > 0) near_of(made).copy_(t);
  return made;
}

inline at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                                c10::optional<at::ScalarType> type, c10::optional<at::Layout>,
                                c10::optional<at::Device>, c10::optional<bool>) {
  return make(sizes, strides, type.value_or(at::kFloat));
}

inline at::Tensor empty(at::IntArrayRef sizes, c10::optional<at::ScalarType> type,
                        c10::optional<at::Layout>, c10::optional<at::Device>, c10::optional<bool>,
                        c10::optional<at::MemoryFormat>) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * std::max<int64_t>(sizes[i], 1);
  }
  return make(sizes, strides, type.value_or(at::kFloat));
}

// What `near`, a view of the near form of `t`, is of `t`.
inline at::Tensor view_of(const at::Tensor& t, const at::Tensor& near) {
  at::Tensor view = at::detail::make_tensor<c10::TensorImpl>(
      c10::TensorImpl::VIEW, c10::Storage(t.storage()), t.key_set(), t.dtype());
  view.unsafeGetTensorImpl()->set_storage_offset(near.storage_offset());
  view.unsafeGetTensorImpl()->set_sizes_and_strides(near.sizes(), near.strides());
  return view;
}

inline at::Tensor& copy(at::Tensor& self, const at::Tensor& from, bool) {
  at::Tensor to = is_far(self) ? near_of(self) : self;
  to.copy_(is_far(from) ? near_of(from) : from);
  return self;
}

// What `made` makes of each tensor of a value.
template <class Made>
void replace(c10::IValue& value, const Made& made) {
  if (value.isTensor()) {
    value = made(value.toTensor());
  } else if (value.isTensorList()) {
    std::vector<at::Tensor> list;
    for (const at::Tensor& t : value.toTensorVector()) list.push_back(made(t));
    value = std::move(list);
  }
}

// Any other operation: by the CPU, on the memory behind.
inline void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const at::AutoDispatchBelowAutograd below;
  const size_t arguments = op.schema().arguments().size();
  std::vector<at::Tensor> far, near;
  at::Tensor of_cpu;
  const auto bring = [&](const at::Tensor& t) {
    if (!is_far(t)) {
      if (t.defined() && t.dim() > 0) of_cpu = t;
      return t;
    }
    far.push_back(t);
    near.push_back(near_of(t));
    return near.back();
  };
  const size_t begin = stack->size() - arguments;
  for (size_t i = begin; i < stack->size(); ++i) {
    c10::IValue& value = (*stack)[i];
    if (value.isTensor() || value.isTensorList()) {
      replace(value, bring);
    } else if (value.isDevice()) {
      value = c10::IValue(at::Device(at::kCPU));
    }
  }
  TORCH_CHECK(far.empty() || !of_cpu.defined(), op.schema().name(),
              ": expected all tensors to be on the same device");
  op.callBoxed(stack);
  // What was resized has new memory.
  for (size_t i = 0; i < far.size(); ++i) {
    if (near[i].sizes() == far[i].sizes()) continue;
    const at::Tensor resized = far_of(near[i]);
    far[i].unsafeGetTensorImpl()->set_storage_keep_dtype(resized.storage());
    far[i].unsafeGetTensorImpl()->set_sizes_and_strides(resized.sizes(), resized.strides());
  }
  const auto send = [&](const at::Tensor& t) {
    if (!t.defined()) return t;
    for (size_t i = 0; i < near.size(); ++i) {
      if (near[i].is_same(t)) return far[i];
      if (near[i].is_alias_of(t)) return view_of(far[i], t);
    }
    return far_of(t);
  };
  for (size_t i = stack->size() - op.schema().returns().size(); i < stack->size(); ++i) {
    replace((*stack)[i], send);
  }
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&compute>());
}
TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty);
  m.impl("empty_strided", &empty_strided);
  m.impl("copy_", &copy);
}
C10_REGISTER_GUARD_IMPL(PrivateUse1, c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::PrivateUse1>)

}  // namespace pare::far
