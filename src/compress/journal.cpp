#include "compress/journal.h"

#include <nlohmann/json.hpp>
#include <sstream>

namespace pare {

using Json = nlohmann::json;

Result<std::unique_ptr<Journal>> Journal::open(const std::string& output, const std::string& job,
                                               FileSystem& fs) {
  std::unique_ptr<Journal> journal(new Journal);
  journal->path_ = output + ".journal";
  journal->job_ = job;
  journal->fs_ = &fs;
  bool same_job = false;
  if (file_exists(journal->path_)) {
    PARE_ASSIGN_OR_RETURN(const std::string text, read_text(journal->path_, uint64_t{1} << 26));
    std::istringstream lines(text);
    std::string line;
    for (bool first = true; std::getline(lines, line); first = false) {
      // The last line may be torn: it and what follows is ignored.
      const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!json.is_object()) break;
      if (first) {
        same_job = json.value("job", Json()) == Json(job);
        if (!same_job) break;
        continue;
      }
      const Json index = json.value("tensor", Json()), hash = json.value("hash", Json());
      if (!index.is_number_unsigned() || !hash.is_string()) break;
      journal->finished_[index.get<size_t>()] = hash.get<std::string>();
    }
  }
  PARE_ASSIGN_OR_RETURN(journal->file_, fs.open_for_write(journal->path_));
  // Rewritten from what was understood, so that a torn line cannot spoil later ones.
  const auto finished = same_job ? journal->finished_ : std::map<size_t, std::string>();
  PARE_RETURN_IF_ERROR(journal->restart());
  for (const auto& [index, hash] : finished) PARE_RETURN_IF_ERROR(journal->add(index, hash));
  return journal;
}

Status Journal::restart() {
  finished_.clear();
  end_ = 0;
  PARE_RETURN_IF_ERROR(file_->truncate(0));
  return append(Json{{"job", job_}}.dump());
}

Status Journal::add(size_t index, const std::string& hash) {
  finished_[index] = hash;
  return append(Json{{"tensor", index}, {"hash", hash}}.dump());
}

Status Journal::append(const std::string& line) {
  const std::string text = line + "\n";
  PARE_RETURN_IF_ERROR(file_->write_at(end_, std::as_bytes(std::span(text))));
  end_ += text.size();
  return {};
}

Status Journal::remove() {
  PARE_RETURN_IF_ERROR(file_->close());
  return fs_->remove(path_);
}

}  // namespace pare
