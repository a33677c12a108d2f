#include "formats/file_set.h"

#include <algorithm>

namespace pare {
namespace {

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// Whether the temporary file at `path` was begun with the same plan.
bool continues(const std::string& path, const FileSet::File& plan) {
  auto opened = MappedFile::open(path);
  if (!opened.ok()) return false;
  const auto bytes = (*opened)->bytes();
  const auto header = as_bytes(plan.header);
  return bytes.size() == plan.bytes && std::equal(header.begin(), header.end(), bytes.begin());
}

}  // namespace

uint64_t FileSet::bytes() const {
  uint64_t sum = 0;
  for (const File& file : files) sum += file.bytes;
  return sum;
}

Result<std::unique_ptr<FileSetWriter>> FileSetWriter::create(FileSet set, FileSystem& fs) {
  std::unique_ptr<FileSetWriter> writer(new FileSetWriter(std::move(set)));
  PARE_RETURN_IF_ERROR(writer->open_files(fs, /*fresh=*/true));
  return writer;
}

Result<std::unique_ptr<FileSetWriter>> FileSetWriter::resume(FileSet set, FileSystem& fs) {
  for (const FileSet::File& plan : set.files) {
    const std::string part = plan.path + ".part";
    if (!continues(part, plan)) {
      return not_found("{}: is missing, or does not belong to this job: it cannot be continued",
                       part);
    }
  }
  std::unique_ptr<FileSetWriter> writer(new FileSetWriter(std::move(set)));
  PARE_RETURN_IF_ERROR(writer->open_files(fs, /*fresh=*/false));
  return writer;
}

Status FileSetWriter::open_files(FileSystem& fs, bool fresh) {
  for (const FileSet::File& plan : set_.files) {
    PARE_ASSIGN_OR_RETURN(auto file, AtomicFile::create(plan.path, fs));
    files_.push_back(std::move(file));
    if (!fresh) continue;
    // Emptied first, so that no old byte is left; its full size makes all padding zero.
    PARE_RETURN_IF_ERROR(files_.back()->truncate(0));
    PARE_RETURN_IF_ERROR(files_.back()->truncate(plan.bytes));
    PARE_RETURN_IF_ERROR(files_.back()->write_at(0, as_bytes(plan.header)));
  }
  return {};
}

Status FileSetWriter::write(size_t index, std::span<const std::byte> bytes) {
  PARE_CHECK(index < set_.places.size(), "no such tensor");
  const FileSet::Place& place = set_.places[index];
  if (bytes.size() > place.bytes - written_[index]) {
    return internal_error("tensor {}: more than its {} bytes were written", place.name,
                          place.bytes);
  }
  PARE_RETURN_IF_ERROR(files_[place.file]->write_at(place.offset + written_[index], bytes));
  written_[index] += bytes.size();
  return {};
}

void FileSetWriter::mark_written(size_t index) {
  PARE_CHECK(index < set_.places.size(), "no such tensor");
  written_[index] = set_.places[index].bytes;
}

Status FileSetWriter::sync() {
  for (auto& file : files_) PARE_RETURN_IF_ERROR(file->sync());
  return {};
}

Status FileSetWriter::commit() {
  for (size_t i = 0; i < set_.places.size(); ++i) {
    if (is_written(i)) continue;
    return internal_error("tensor {}: {} of its {} bytes were written", set_.places[i].name,
                          written_[i], set_.places[i].bytes);
  }
  for (auto file = files_.rbegin(); file != files_.rend(); ++file) {
    PARE_RETURN_IF_ERROR((*file)->commit());
  }
  return {};
}

void FileSetWriter::keep_partial() {
  for (auto& file : files_) file->keep_partial();
}

}  // namespace pare
