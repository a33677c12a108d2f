#include "compress/piece_writer.h"

namespace pare {

PieceWriter::PieceWriter(Sink sink) : sink_(std::move(sink)), thread_([this] { run(); }) {}

PieceWriter::~PieceWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status PieceWriter::write(std::span<const std::byte> piece) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return written_ - taken_ < kSlots || !error_.ok(); });
  if (!error_.ok()) return error_;
  slots_[written_ % kSlots].assign(piece.begin(), piece.end());
  ++written_;
  lock.unlock();
  changed_.notify_all();
  return {};
}

Status PieceWriter::flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return written_ == taken_ || !error_.ok(); });
  return error_;
}

void PieceWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || (written_ != taken_ && error_.ok()); });
    if (stop_) return;
    const std::vector<std::byte>& piece = slots_[taken_ % kSlots];
    lock.unlock();
    Status status = sink_(piece);
    lock.lock();
    ++taken_;
    error_ = std::move(status);
    changed_.notify_all();
  }
}

}  // namespace pare
