#include "compress/verify.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/clones.h"
#include "base/hash.h"
#include "codecs/codec.h"
#include "formats/gguf/reader.h"

namespace pare {
namespace {

// Rows summed by one task: fixed, so that sums do not depend on the number of threads.
constexpr int64_t kRowsPerTask = 64;

struct Sums {
  double error2 = 0.0, source2 = 0.0, other2 = 0.0, product = 0.0, max_abs = 0.0;
  void add(const Sums& other) {
    error2 += other.error2;
    source2 += other.source2;
    other2 += other.other2;
    product += other.product;
    max_abs = std::max(max_abs, other.max_abs);
  }
};

Sums sums_in_double(const float* x, const float* y, int64_t n) {
  Sums sums;
  for (int64_t c = 0; c < n; ++c) {
    const double a = x[c], b = y[c], error = b - a;
    sums.error2 += error * error;
    sums.source2 += a * a;
    sums.other2 += b * b;
    sums.product += a * b;
    sums.max_abs = std::max(sums.max_abs, std::fabs(error));
  }
  return sums;
}

// Eight floats; gcc and clang make of it what the instruction set has.
using Floats = float __attribute__((vector_size(32)));

// The same, a part of 1e-6 less exact. Squares that a float cannot hold become infinite.
PARE_CLONES void sums_in_float(const float* x, const float* y, int64_t n, Sums* out) {
  constexpr int kLanes = 8, kRun = 64;
  *out = sums_in_double(x + n / kRun * kRun, y + n / kRun * kRun, n % kRun);
  Floats max_abs = {};
  for (int64_t c = 0; c + kRun <= n; c += kRun) {
    Floats error2 = {}, source2 = {}, other2 = {}, product = {};
    for (int64_t i = c; i < c + kRun; i += kLanes) {
      Floats a, b;
      std::memcpy(&a, x + i, sizeof a);
      std::memcpy(&b, y + i, sizeof b);
      const Floats error = b - a, magnitude = error < 0.0f ? -error : error;
      error2 += error * error;
      source2 += a * a;
      other2 += b * b;
      product += a * b;
      max_abs = magnitude > max_abs ? magnitude : max_abs;
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      out->error2 += static_cast<double>(error2[lane]);
      out->source2 += static_cast<double>(source2[lane]);
      out->other2 += static_cast<double>(other2[lane]);
      out->product += static_cast<double>(product[lane]);
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    out->max_abs = std::max(out->max_abs, static_cast<double>(max_abs[lane]));
  }
}

Sums sum_columns(const float* x, const float* y, int64_t n) {
  Sums sums;
  sums_in_float(x, y, n, &sums);
  const bool finite = std::isfinite(sums.error2 + sums.source2 + sums.other2 + sums.product);
  return finite ? sums : sums_in_double(x, y, n);
}

Result<Sums> sum_errors(const PackedTensor& source, const PackedTensor& other, ThreadPool& pool) {
  if (source.shape != other.shape) {
    return invalid_argument("shapes differ: {} and {}", source.shape.to_string(),
                            other.shape.to_string());
  }
  const Codec& a = codec(source.codec);
  const Codec& b = codec(other.codec);
  if (a.decode_row == nullptr || b.decode_row == nullptr) {
    return unsupported("{} and {} cannot be compared", a.name, b.name);
  }
  const int64_t rows = source.shape.rows(), columns = source.shape.columns();
  std::vector<Sums> parts(static_cast<size_t>((rows + kRowsPerTask - 1) / kRowsPerTask));
  pool.parallel_for(parts.size(), [&](size_t t) {
    std::vector<float> x(static_cast<size_t>(columns)), y(static_cast<size_t>(columns));
    const int64_t begin = static_cast<int64_t>(t) * kRowsPerTask;
    for (int64_t r = begin; r < std::min(rows, begin + kRowsPerTask); ++r) {
      a.decode_row(source.row_bytes(r, 1).data(), x.data(), columns);
      b.decode_row(other.row_bytes(r, 1).data(), y.data(), columns);
      parts[t].add(sum_columns(x.data(), y.data(), columns));
    }
  });
  Sums total;
  for (const Sums& part : parts) total.add(part);
  return total;
}

TensorError to_error(const Sums& sums) {
  const double norms = std::sqrt(sums.source2 * sums.other2);
  TensorError error{.error2 = sums.error2, .source2 = sums.source2, .max_abs = sums.max_abs};
  // A NaN is lost in comparisons, never in a sum.
  if (!std::isfinite(sums.error2)) error.max_abs = sums.error2;
  const double nothing = sums.error2 == 0.0 ? 0.0 : INFINITY;
  error.relative_rms = sums.source2 > 0.0 ? std::sqrt(sums.error2 / sums.source2) : nothing;
  error.cosine = norms > 0.0 ? sums.product / norms : sums.error2 == 0.0 ? 1.0 : 0.0;
  return error;
}

}  // namespace

Result<TensorError> compare_tensors(const PackedTensor& source, const PackedTensor& other,
                                    ThreadPool& pool) {
  PARE_ASSIGN_OR_RETURN(const Sums sums, sum_errors(source, other, pool));
  return to_error(sums);
}

Result<VerifyResult> verify_output(const Model& source, const Plan& plan,
                                   const DriveResult& written, ThreadPool& pool,
                                   Progress& progress) {
  const std::string& path = written.files.front();
  auto opened = gguf::File::open(path);
  if (!opened.ok()) {
    return broken_promise("the written file cannot be read: {}", opened.status().message());
  }
  const gguf::File& file = **opened;
  if (!(file.metadata() == output_metadata(plan, source))) {
    return broken_promise("{}: its metadata is not what was written", path);
  }
  for (size_t i = 0; i < written.files.size(); ++i) {
    PARE_ASSIGN_OR_RETURN(const auto part, MappedFile::open(written.files[i]));
    const auto header = std::as_bytes(std::span(written.headers[i]));
    if (part->bytes().size() < header.size() ||
        !std::equal(header.begin(), header.end(), part->bytes().begin())) {
      return broken_promise("{}: its header is not what was written", written.files[i]);
    }
  }
  if (file.file_bytes() != written.file_bytes) {
    return broken_promise("{}: {} bytes on disk, {} planned", path, file.file_bytes(),
                          written.file_bytes);
  }
  if (file.tensors().size() != plan.tensors.size()) {
    return broken_promise("{}: {} tensors, {} planned", path, file.tensors().size(),
                          plan.tensors.size());
  }
  VerifyResult result;
  Sums all;
  progress.begin("verify", written.file_bytes, "bytes");
  uint64_t done = 0;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    if (progress.stop_requested()) return cancelled("stopped while verifying {}", path);
    const TensorPlan& meant = plan.tensors[i];
    const int64_t at = file.find(meant.name);
    if (at < 0) return broken_promise("{}: tensor {} is not there", path, meant.name);
    PARE_ASSIGN_OR_RETURN(const PackedTensor packed, file.read(static_cast<size_t>(at)));
    if (packed.codec != meant.codec) {
      return broken_promise("{}: {} is {}, {} planned", path, meant.name, codec(packed.codec).name,
                            codec(meant.codec).name);
    }
    Hasher hasher;
    hasher.add_piece(packed.bytes);
    if (hasher.hex() != written.hashes[i]) {
      return broken_promise("{}: the bytes of {} are not those that were written", path,
                            meant.name);
    }
    PARE_ASSIGN_OR_RETURN(const PackedTensor original, source.tensors->read(i));
    PARE_ASSIGN_OR_RETURN(const Sums sums, sum_errors(original, packed, pool));
    const TensorError error = to_error(sums);
    if (!std::isfinite(error.max_abs)) {
      return broken_promise("{}: {} dequantizes to numbers that are not finite", path, meant.name);
    }
    if (!(error.relative_rms < 1.0)) {
      return broken_promise("{}: {} at {} has lost its source: relative error {:.3f}", path,
                            meant.name, codec(meant.codec).name, error.relative_rms);
    }
    result.tensors.push_back(error);
    all.add(sums);
    file.release(static_cast<size_t>(at));
    source.tensors->release(i);
    done += packed.bytes.size();
    progress.advance(done);
  }
  result.relative_rms = to_error(all).relative_rms;
  return result;
}

}  // namespace pare
