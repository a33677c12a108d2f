// Packed tensors and where they come from and go to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/codec_id.h"
#include "tensor/shape.h"

namespace pare {

// What is known of a tensor before any of its bytes is read.
struct TensorInfo {
  std::string name;
  Shape shape;
  CodecId codec = CodecId::kF32;
  uint64_t bytes = 0;
};

// One weight as its codec's bytes: rows in order, no padding between them. `owner` keeps
// `bytes` alive (a mapped file, or a buffer made for this tensor).
struct PackedTensor {
  CodecId codec = CodecId::kF32;
  Shape shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;

  // Bytes of `count` rows from row `begin`; all rows have the same size.
  std::span<const std::byte> row_bytes(int64_t begin, int64_t count) const {
    const auto rows = static_cast<size_t>(shape.rows());
    const size_t stride = rows == 0 ? 0 : bytes.size() / rows;
    return bytes.subspan(static_cast<size_t>(begin) * stride, static_cast<size_t>(count) * stride);
  }
};

// Tensors to be read, lazily. read() may be called from several threads.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual std::span<const TensorInfo> tensors() const = 0;
  // The tensor at `index` of tensors(). Mapped, not copied, where the disk form allows.
  virtual Result<PackedTensor> read(size_t index) const = 0;
  // The caller is done with this tensor for now: its mapped pages may be dropped.
  virtual void release(size_t index) const { (void)index; }

  // The index of the tensor called `name`, or -1.
  int64_t find(std::string_view name) const;
};

// Tensors being written, in the order and with the sizes that the sink was made with.
class TensorSink {
 public:
  virtual ~TensorSink() = default;
  // Appends bytes of tensor `index`; pieces of one tensor come in order.
  virtual Status write(size_t index, std::span<const std::byte> bytes) = 0;
};

}  // namespace pare
