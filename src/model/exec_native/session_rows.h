// The arrays of a session as its operations see them. For session*.cpp only.
#pragma once

#include <span>
#include <vector>

#include "model/exec_native/session.h"

namespace pare {

// Rows of arrays begin at cache lines, in different cache sets even where the width is a power of
// two.
inline int64_t stride_of(int64_t columns) { return (columns + 15) / 16 * 16 + 16; }

struct Session::Rows {
  std::span<const int32_t> tokens;  // of the piece (prologue)
  int64_t first = 0, count = 0;     // rows of the arrays
  int64_t wanted = 0;               // from the last block's attention on: so many last rows
  bool last_block = false;
  std::vector<AlignedBuffer<float>>* slots = nullptr;
  const std::vector<int64_t>* columns = nullptr;
  // Slot 0 in the epilogue: the hidden states, then the logits, in the caller's memory.
  float* stream = nullptr;
  int64_t stream_stride = 0;

  int64_t stride(const ValuePlace& place) const {
    return place.slot == 0 && stream != nullptr
               ? stream_stride
               : stride_of((*columns)[static_cast<size_t>(place.slot)]);
  }
  float* at(const ValuePlace& place, int64_t row) const {
    float* base = place.slot == 0 && stream != nullptr
                      ? stream
                      : (*slots)[static_cast<size_t>(place.slot)].data();
    return base + row * stride(place) + place.begin;
  }
};

}  // namespace pare
