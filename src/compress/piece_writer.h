// Hands pieces of bytes to a function on a thread of its own, in order: what encodes goes on while
// what was encoded is hashed and written.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/status.h"

namespace pare {

// One thread writes and flushes; `sink` runs on another, and may use what that thread touches
// between flushes.
class PieceWriter {
 public:
  using Sink = std::function<Status(std::span<const std::byte>)>;
  explicit PieceWriter(Sink sink);
  ~PieceWriter();  // waits for the sink; pieces that it has not begun with are dropped
  PieceWriter(const PieceWriter&) = delete;
  PieceWriter& operator=(const PieceWriter&) = delete;

  // Takes a copy, and waits while kSlots pieces are under way. After an error of the sink nothing
  // more reaches it, and every call says what it was.
  Status write(std::span<const std::byte> piece);
  // Waits until the sink has seen every piece.
  Status flush();

 private:
  static constexpr size_t kSlots = 2;
  void run();

  Sink sink_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::byte> slots_[kSlots];  // piece i is in slot i % kSlots
  size_t written_ = 0, taken_ = 0;        // pieces given, and those that the sink is done with
  Status error_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace pare
