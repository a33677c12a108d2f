#include "planner/probe.h"

#include <algorithm>
#include <numeric>

#include "codecs/codec.h"
#include "formats/gguf/format.h"
#include "formats/gguf/writer.h"
#include "planner/knapsack.h"

namespace pare {
namespace {

// Mean over some rows of sum_c h_c dW_rc^2, and of sum_c h_c W_rc^2.
struct RowError {
  double error = 0.0, energy = 0.0;
};

// At most `count` rows, at even steps of `importance` summed over rows: the mean of anything over
// them estimates its mean over all rows weighted by importance (systematic sampling). Empty: all
// rows count the same.
std::vector<int64_t> sampled_rows(int64_t rows, int64_t count,
                                  const std::vector<float>& importance) {
  std::vector<int64_t> chosen;
  double total = 0.0;
  for (float g : importance) total += g;
  if (importance.size() != static_cast<size_t>(rows) || !(total > 0.0)) {
    count = std::min(rows, count);
    for (int64_t i = 0; i < count; ++i) chosen.push_back(i * rows / count);
    return chosen;
  }
  double below = 0.0;
  for (int64_t r = 0; r < rows; ++r) {
    below += importance[static_cast<size_t>(r)];
    while (static_cast<int64_t>(chosen.size()) < count &&
           (static_cast<double>(chosen.size()) + 0.5) * total <
               below * static_cast<double>(count)) {
      chosen.push_back(r);
    }
  }
  return chosen;
}

RowError sample_error(const PackedTensor& source, const Codec& to,
                      const std::vector<float>& columns_weight, const std::vector<int64_t>& rows,
                      ThreadPool& pool) {
  const Codec& from = codec(source.codec);
  const int64_t columns = source.shape.columns();
  const float* weight = columns_weight.empty() ? nullptr : columns_weight.data();
  std::vector<RowError> parts(rows.size());
  pool.parallel_for(parts.size(), [&](size_t i) {
    const int64_t r = rows[i];
    thread_local std::vector<float> x, y;
    thread_local std::vector<std::byte> bytes;
    x.resize(static_cast<size_t>(columns));
    y.resize(static_cast<size_t>(columns));
    bytes.resize(to.row_bytes(columns));
    from.decode_row(source.row_bytes(r, 1).data(), x.data(), columns);
    to.encode_row(x.data(), weight, bytes.data(), columns);
    to.decode_row(bytes.data(), y.data(), columns);
    RowError sum;
    for (size_t c = 0; c < x.size(); ++c) {
      const double h = weight != nullptr ? weight[c] : 1.0;
      const double d = static_cast<double>(y[c]) - x[c];
      sum.error += h * d * d;
      sum.energy += h * static_cast<double>(x[c]) * x[c];
    }
    parts[i] = sum;
  });
  RowError mean;
  for (const RowError& part : parts) {
    mean.error += part.error / static_cast<double>(parts.size());
    mean.energy += part.energy / static_cast<double>(parts.size());
  }
  return mean;
}

}  // namespace

std::vector<CodecId> default_candidates() {
  return {CodecId::kQ2_K, CodecId::kQ3_K, CodecId::kIQ4_XS, CodecId::kQ4_K,
          CodecId::kQ5_K, CodecId::kQ6_K, CodecId::kIQ4_NL, CodecId::kQ4_1,
          CodecId::kQ5_0, CodecId::kQ5_1, CodecId::kQ8_0};
}

ErrorWeights error_weights(const Model& model, const CalibrationStats& stats, int32_t tensor,
                           bool gptq) {
  ErrorWeights weights;
  const TensorDesc& desc = model.desc.tensors[static_cast<size_t>(tensor)];
  const auto width = static_cast<size_t>(desc.shape.columns());
  std::vector<double> columns(width, 0.0);
  bool known = false;
  if (const TensorStats* t = stats.find(desc.name); t != nullptr && t->in_sum2.size() == width) {
    const std::vector<float> inputs = gptq && !t->in_pivot.empty() ? t->in_pivot : t->importance();
    const double gradient =
        t->out_grad2.empty() ? 1.0 : std::accumulate(t->out_grad2.begin(), t->out_grad2.end(), 0.0);
    for (size_t c = 0; c < inputs.size(); ++c) columns[c] += gradient * inputs[c];
    known = !inputs.empty();
  }
  // Each token looks up one row: a row of error meets the gradient of the first stream.
  if (desc.role == Role::kTokenEmbedding && stats.embedding_grad2.size() == width) {
    for (size_t c = 0; c < width; ++c) columns[c] += stats.embedding_grad2[c];
    known = true;
  }
  if (!known) return weights;
  // Scaled to a mean of 1, which rounding needs; the scale goes to the rows' factor.
  const double mean =
      std::accumulate(columns.begin(), columns.end(), 0.0) / static_cast<double>(width);
  if (!(mean > 0.0)) return weights;
  weights.columns.resize(width);
  for (size_t c = 0; c < width; ++c) weights.columns[c] = static_cast<float>(columns[c] / mean);
  weights.rows = mean;
  return weights;
}

Result<std::vector<TensorCandidates>> list_candidates(const Model& model,
                                                      const ProbeOptions& options) {
  const auto tensors = model.tensors->tensors();
  PARE_ASSIGN_OR_RETURN(const uint64_t alignment, gguf::alignment_of(model.metadata));
  std::vector<TensorCandidates> table(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& info = tensors[i];
    table[i].tensor = i;
    const int32_t d = model.desc.find(info.name);
    const bool quantizable = d >= 0 && model.desc.tensors[static_cast<size_t>(d)].quantizable;
    const std::optional<CodecId> forced = options.forced.empty() ? std::nullopt : options.forced[i];
    std::vector<CodecId> ids;
    if (forced) {
      ids = {*forced};
    } else if (quantizable) {
      for (CodecId id : options.codecs) {
        if (codec(id).divides(info.shape.columns())) ids.push_back(id);
      }
      // Rows that no type divides: as presets do.
      if (ids.empty() && info.codec == CodecId::kF32) ids = {CodecId::kF16, CodecId::kF32};
    }
    // Others are kept: vectors as F32, as every runtime wants them.
    if (ids.empty()) ids = {info.shape.rank() < 2 ? CodecId::kF32 : info.codec};
    for (CodecId id : ids) {
      table[i].candidates.push_back({id, id == info.codec ? Method::kKeep : Method::kRtn,
                                     gguf::align_up(codec(id).tensor_bytes(info.shape), alignment),
                                     0.0});
    }
  }
  return table;
}

Result<std::vector<TensorCandidates>> probe_candidates(const Model& model,
                                                       const CalibrationStats& stats,
                                                       const ProbeOptions& options,
                                                       ThreadPool& pool, Progress& progress) {
  const auto tensors = model.tensors->tensors();
  PARE_ASSIGN_OR_RETURN(std::vector<TensorCandidates> table, list_candidates(model, options));
  const bool has_gradients =
      std::any_of(stats.tensors.begin(), stats.tensors.end(),
                  [](const auto& item) { return !item.second.out_grad2.empty(); });
  progress.begin("probe", tensors.size(), "tensors");
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (progress.stop_requested()) return cancelled("stopped while probing");
    const TensorInfo& info = tensors[i];
    if (info.shape.rank() < 2) continue;
    const int32_t d = model.desc.find(info.name);
    const ErrorWeights weights =
        d >= 0 ? error_weights(model, stats, d, options.gptq) : ErrorWeights{};
    const TensorStats* measured = d >= 0 ? stats.find(info.name) : nullptr;
    const bool compensated = options.gptq && measured != nullptr && !measured->in_pivot.empty();
    const std::vector<int64_t> rows =
        sampled_rows(info.shape.rows(), options.sample_rows,
                     measured != nullptr ? measured->out_grad2 : std::vector<float>{});
    PARE_ASSIGN_OR_RETURN(const PackedTensor source, model.tensors->read(i));
    for (Candidate& candidate : table[i].candidates) {
      if (candidate.method == Method::kKeep) continue;
      const Codec& c = codec(candidate.codec);
      const RowError mean = sample_error(source, c, weights.columns, rows, pool);
      candidate.cost = has_gradients       ? 0.5 * weights.rows * mean.error
                       : mean.energy > 0.0 ? mean.error / mean.energy
                                           : 0.0;
      if (compensated && c.grid != nullptr && c.grid->round_unit() == 1) {
        candidate.method = Method::kGptq;
      }
    }
    model.tensors->release(i);
    progress.advance(i + 1);
  }
  return table;
}

Result<Plan> solve_plan(const Model& model, std::span<const TensorCandidates> table,
                        uint64_t budget_bytes, std::span<const double> scale) {
  Plan plan;
  plan.source = model.path;
  plan.source_hash = source_fingerprint(model);
  plan.budget_bytes = budget_bytes;
  plan.label = "fit " + std::to_string(budget_bytes) + " bytes";
  const auto tensors = model.tensors->tensors();
  PARE_ASSIGN_OR_RETURN(const uint64_t header,
                        gguf::header_bytes(output_metadata(plan, model), tensors));
  if (header >= budget_bytes) {
    return invalid_argument("the header alone takes {} bytes, the budget is {}", header,
                            budget_bytes);
  }
  std::vector<std::vector<Choice>> items;
  uint64_t smallest = header;
  for (const TensorCandidates& t : table) {
    std::vector<Choice> choices;
    const double factor = scale.empty() ? 1.0 : scale[t.tensor];
    for (const Candidate& c : t.candidates) choices.push_back({c.bytes, factor * c.cost});
    smallest += std::ranges::min(choices, {}, &Choice::bytes).bytes;
    items.push_back(std::move(choices));
  }
  if (smallest > budget_bytes) {
    return invalid_argument(
        "{} bytes cannot be reached with these types: the smallest file has {} bytes", budget_bytes,
        smallest);
  }
  PARE_ASSIGN_OR_RETURN(const auto solved, solve_knapsack(items, budget_bytes - header));
  for (size_t i = 0; i < table.size(); ++i) {
    const Candidate& c = table[i].candidates[solved.chosen[i]];
    const char* why = c.method == Method::kKeep        ? "kept"
                      : table[i].candidates.size() > 1 ? "search"
                                                       : "only choice";
    plan.tensors.push_back({tensors[table[i].tensor].name, c.codec, c.method, why});
  }
  PARE_ASSIGN_OR_RETURN(plan.file_bytes, plan_file_bytes(plan, model));
  if (plan.file_bytes > budget_bytes) {
    return internal_error("the plan takes {} bytes, the budget is {}", plan.file_bytes,
                          budget_bytes);
  }
  return plan;
}

std::vector<double> plan_costs(const Plan& plan, std::span<const TensorCandidates> table) {
  std::vector<double> costs;
  for (const TensorCandidates& t : table) {
    double cost = 0.0;
    for (const Candidate& c : t.candidates) {
      if (c.codec == plan.tensors[t.tensor].codec) cost = c.cost;
    }
    costs.push_back(cost);
  }
  return costs;
}

}  // namespace pare
