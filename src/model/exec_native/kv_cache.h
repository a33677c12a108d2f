// Keys and values of the positions so far, for every block with attention. One session's; the
// functions that store may run at once for different positions or heads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "model/exec_native/kv_tile.h"

namespace pare {

// Tiles of keys, and rows of values, one after the other (kv_tile.h).
struct KeyTiles {
  const std::byte* first;
  int64_t tile_bytes;
};
struct ValueRows {
  const std::byte* first;
  int64_t row_bytes;
};

class KvCache {
 public:
  struct Layer {
    int64_t heads = 0, head_dim = 0, value_dim = 0;
  };

  // Memory is taken from the system as positions are stored. Errors: kUnsupported: `form` is
  // none of kv_forms(), or a head's extent does not divide by its block; kInvalidArgument: more
  // memory than there is (the message says how much).
  static Result<std::unique_ptr<KvCache>> create(std::vector<Layer> layers, CodecId form,
                                                 int64_t capacity);

  CodecId form() const { return form_; }
  int64_t capacity() const { return capacity_; }  // positions
  uint64_t bytes() const { return bytes_; }       // of all positions, used or not
  uint64_t bytes_per_position() const { return bytes_ / static_cast<uint64_t>(padded()); }

  void store(size_t layer, int64_t head, int64_t position, const float* key, const float* value);

  // Of a head from a position; of keys a multiple of kKeyTile.
  KeyTiles keys(size_t layer, int64_t head, int64_t begin) const;
  ValueRows values(size_t layer, int64_t head, int64_t begin) const;

  // Decodes to floats: keys [head_dim][stride] of positions [begin, begin + count), begin a
  // multiple of kKeyTile; whole tiles are written. Values: [count][stride].
  void load_keys(size_t layer, int64_t head, int64_t begin, int64_t count, float* out,
                 int64_t stride) const;
  void load_values(size_t layer, int64_t head, int64_t begin, int64_t count, float* out,
                   int64_t stride) const;

 private:
  struct Place {
    Layer layer;
    uint64_t key_row = 0, value_row = 0;  // bytes of one position of one head
    std::byte* keys = nullptr;            // [heads][padded capacity]
    std::byte* values = nullptr;
  };
  KvCache() = default;
  int64_t padded() const { return (capacity_ + kKeyTile - 1) / kKeyTile * kKeyTile; }

  CodecId form_ = CodecId::kF16;
  int64_t capacity_ = 0;
  uint64_t bytes_ = 0;
  std::unique_ptr<std::byte[]> memory_;
  std::vector<Place> places_;
};

// Bytes that this process can still take without pushing others out: what the system calls
// available, or what is left of its container's limit.
uint64_t available_memory();

}  // namespace pare
