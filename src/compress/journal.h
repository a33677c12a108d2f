// What an interrupted job had finished: OUTPUT.journal, one line per tensor, beside the
// temporary output. A line counts only if the bytes it speaks of are still there (their hash is
// compared), so a torn write or a power cut costs work, never correctness.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/status.h"

namespace pare {

class Journal {
 public:
  // Opens the journal of `output`. `job` identifies plan, source and options: a journal of
  // another job is discarded.
  static Result<std::unique_ptr<Journal>> open(const std::string& output, const std::string& job,
                                               FileSystem& fs = FileSystem::real());

  // Finished tensors of an earlier run: index -> hash of their bytes.
  const std::map<size_t, std::string>& finished() const { return finished_; }
  // Forgets what an earlier run did.
  Status restart();
  Status add(size_t index, const std::string& hash);
  Status sync() { return file_->sync(); }
  // The job is done: removes the file.
  Status remove();

 private:
  Journal() = default;
  Status append(const std::string& line);

  std::string path_, job_;
  FileSystem* fs_ = nullptr;
  std::unique_ptr<WritableFile> file_;
  uint64_t end_ = 0;
  std::map<size_t, std::string> finished_;
};

}  // namespace pare
