#include <atomic>
#include <bit>
#include <cmath>
#include <vector>

#include "base/clones.h"
#include "base/hash.h"
#include "codecs/codec.h"
#include "compress/driver.h"

namespace pare {
namespace {

// Only the exponents of infinities and NaNs are all ones.
PARE_CLONES bool all_finite(const float* x, int64_t n) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < n; ++i) {
    bad |= (std::bit_cast<uint32_t>(x[i]) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
  }
  return bad == 0;
}

// Weights handled by one task, roughly: large enough to amortise, small enough for the cache.
constexpr int64_t kTaskWeights = 1 << 16;
constexpr int64_t kTasksPerBatch = 32;

class RtnEncoder final : public Encoder {
 public:
  RtnEncoder(const Model& model, const Plan& plan, const CalibrationStats* stats, ThreadPool& pool)
      : model_(model), plan_(plan), stats_(stats), pool_(pool) {}

  std::string identity() const override {
    if (stats_ == nullptr) return "rtn";
    Hasher hasher;
    for (const auto& [name, t] : stats_->tensors) {
      hasher.add_text(name);
      hasher.add(std::as_bytes(std::span(t.in_sum2)));
    }
    return "rtn " + hasher.hex();
  }

  Status restored(size_t, const PackedTensor&) override { return {}; }

  Status encode(size_t index, const Write& write) override {
    PARE_ASSIGN_OR_RETURN(const PackedTensor source, model_.tensors->read(index));
    const TensorPlan& plan = plan_.tensors[index];
    const Codec& from = codec(source.codec);
    const Codec& to = codec(plan.codec);
    if (from.decode_row == nullptr || (plan.method != Method::kKeep && !to.encode_row)) {
      return internal_error("{} to {} cannot be done", from.name, to.name);
    }
    std::vector<float> importance;
    if (stats_ != nullptr && !to.is_float()) {
      if (const TensorStats* t = stats_->find(plan.name)) importance = t->importance();
      if (!importance.empty() &&
          static_cast<int64_t>(importance.size()) != source.shape.columns()) {
        return invalid_argument("the statistics have {} columns, the weight {}", importance.size(),
                                source.shape.columns());
      }
    }
    const int64_t rows = source.shape.rows();
    const int64_t columns = source.shape.columns();
    const int64_t task_rows = std::max<int64_t>(1, kTaskWeights / std::max<int64_t>(columns, 1));
    const int64_t batch_rows = task_rows * kTasksPerBatch;
    const uint64_t stride = to.row_bytes(columns);
    std::vector<std::byte> out;
    for (int64_t begin = 0; begin < rows; begin += batch_rows) {
      const int64_t count = std::min(batch_rows, rows - begin);
      out.resize(static_cast<uint64_t>(count) * stride);
      // The lowest row with a weight that is not finite, so that the message does not depend
      // on which thread was first.
      std::atomic<int64_t> bad_row{rows};
      pool_.parallel_for(static_cast<size_t>((count + task_rows - 1) / task_rows), [&](size_t t) {
        const int64_t first = begin + static_cast<int64_t>(t) * task_rows;
        const int64_t last = std::min(begin + count, first + task_rows);
        thread_local std::vector<float> row;
        row.resize(static_cast<size_t>(columns));
        for (int64_t r = first; r < last; ++r) {
          from.decode_row(source.row_bytes(r, 1).data(), row.data(), columns);
          if (!all_finite(row.data(), columns)) {
            int64_t known = bad_row.load();
            while (r < known && !bad_row.compare_exchange_weak(known, r)) {
            }
          }
          std::byte* to_row = out.data() + static_cast<uint64_t>(r - begin) * stride;
          if (plan.method == Method::kKeep) {
            const auto bytes = source.row_bytes(r, 1);
            std::copy(bytes.begin(), bytes.end(), to_row);
          } else {
            to.encode_row(row.data(), importance.empty() ? nullptr : importance.data(), to_row,
                          columns);
          }
        }
      });
      if (bad_row < rows) {
        return describe_not_finite(source, from, bad_row);
      }
      PARE_RETURN_IF_ERROR(write(out));
    }
    model_.tensors->release(index);
    return {};
  }

 private:
  Status describe_not_finite(const PackedTensor& source, const Codec& from, int64_t row) const {
    std::vector<float> values(static_cast<size_t>(source.shape.columns()));
    from.decode_row(source.row_bytes(row, 1).data(), values.data(), source.shape.columns());
    for (size_t c = 0; c < values.size(); ++c) {
      if (!std::isfinite(values[c])) {
        return corrupt("{}: the weight at row {}, column {} is {}; finite numbers expected",
                       model_.path, row, c, values[c]);
      }
    }
    return internal_error("a weight that was not finite is gone");
  }

  const Model& model_;
  const Plan& plan_;
  const CalibrationStats* stats_;
  ThreadPool& pool_;
};

}  // namespace

std::unique_ptr<Encoder> make_rtn_encoder(const Model& model, const Plan& plan,
                                          const CalibrationStats* stats, ThreadPool& pool) {
  return std::make_unique<RtnEncoder>(model, plan, stats, pool);
}

}  // namespace pare
