#include "search/refine.h"

#include <algorithm>
#include <map>

#include "calib/collect.h"
#include "eval/compare.h"
#include "methods/encode/block_encoder.h"

namespace pare {
namespace {

// Logits are kept at this many positions of each window's second half.
constexpr int64_t kPositions = 128;

// A measured ratio outside of this says more about noise than about the tensors.
constexpr double kMinScale = 0.1, kMaxScale = 10.0;

Result<torch::Tensor> logits_of(TorchModel& model, const std::vector<int32_t>& window) {
  torch::NoGradGuard no_grad;
  const auto length = static_cast<int64_t>(window.size());
  torch::Tensor tokens = torch::empty({1, length}, torch::kInt64);
  std::copy(window.begin(), window.end(), tokens.data_ptr<int64_t>());
  PARE_ASSIGN_OR_RETURN(torch::Tensor stream, model.prologue(tokens));
  for (size_t b = 0; b < model.desc().graph.blocks.size(); ++b) {
    PARE_ASSIGN_OR_RETURN(stream, model.block(static_cast<int>(b), stream));
  }
  // Only some positions' logits are wanted: the epilogue works on rows alone.
  const int64_t first = length / 2;
  const int64_t count = std::min(kPositions, length - first);
  const torch::Tensor rows =
      (torch::arange(count, torch::kInt64) * (length - first)).floor_divide(count) + first;
  stream = stream.index_select(1, rows);
  PARE_ASSIGN_OR_RETURN(torch::Tensor logits, model.epilogue(stream));
  return logits.squeeze(0).contiguous();
}

}  // namespace

Result<DivergenceMeter> DivergenceMeter::make(TorchModel& model, const TokenWindows& windows,
                                              ThreadPool& pool, Progress& progress) {
  DivergenceMeter meter;
  meter.windows_ = windows;
  meter.reference_.resize(windows.size());
  PARE_RETURN_IF_ERROR(
      for_each_window(windows.size(), pool, progress, [&](size_t w, int) -> Status {
        PARE_ASSIGN_OR_RETURN(meter.reference_[w], logits_of(model, windows[w]));
        return {};
      }));
  return meter;
}

Result<double> DivergenceMeter::measure(TorchModel& model, ThreadPool& pool,
                                        Progress& progress) const {
  std::vector<double> means(windows_.size());
  PARE_RETURN_IF_ERROR(
      for_each_window(windows_.size(), pool, progress, [&](size_t w, int) -> Status {
        PARE_ASSIGN_OR_RETURN(const torch::Tensor logits, logits_of(model, windows_[w]));
        const torch::Tensor& reference = reference_[w];
        const int64_t positions = logits.size(0), vocabulary = logits.size(1);
        double sum = 0.0;
        for (int64_t i = 0; i < positions; ++i) {
          sum += score_position(logits.data_ptr<float>() + i * vocabulary,
                                reference.data_ptr<float>() + i * vocabulary, vocabulary, 0)
                     .kl;
        }
        means[w] = sum / static_cast<double>(positions);
        return {};
      }));
  double sum = 0.0;
  for (double m : means) sum += m;
  return sum / static_cast<double>(means.size());
}

Result<Plan> refine_plan(std::shared_ptr<TorchModel> torch_model,
                         std::shared_ptr<const Model> model, const Plan& first_plan,
                         const std::vector<TensorCandidates>& table, const CalibrationStats& stats,
                         const TokenWindows& windows, const RefineOptions& options,
                         ThreadPool& pool, Progress& progress) {
  // Measured on windows that the encoder does not see.
  const auto measured = std::min(static_cast<size_t>(options.windows), windows.size() / 2);
  if (measured == 0) return first_plan;
  const TokenWindows judge(windows.begin(), windows.begin() + static_cast<int64_t>(measured));
  const TokenWindows train(windows.begin() + static_cast<int64_t>(measured), windows.end());
  const ModelDesc& desc = model->desc;

  PARE_ASSIGN_OR_RETURN(const DivergenceMeter meter,
                        DivergenceMeter::make(*torch_model, judge, pool, progress));
  Plan plan = first_plan;
  std::vector<double> scale(table.size(), 1.0);
  for (int round = 0; round < options.rounds; ++round) {
    BlockEncoder encoder(torch_model, model, plan, stats, train, {}, pool, Progress::silent());
    encoder.keep_overrides();
    const auto order = encoding_order(*model);
    progress.begin("refine", order.size(), "tensors");
    uint64_t done = 0;
    for (size_t index : order) {
      if (progress.stop_requested()) return cancelled("stopped while refining the plan");
      if (plan.tensors[index].method == Method::kGptq) {
        PARE_RETURN_IF_ERROR(
            encoder.encode(index, [](std::span<const std::byte>) { return Status(); }));
      }
      progress.advance(++done);
    }
    std::map<int32_t, torch::Tensor> compressed;
    for (size_t i = 0; i < plan.tensors.size(); ++i) {
      const int32_t t = desc.find(plan.tensors[i].name);
      if (t < 0 || plan.tensors[i].method != Method::kGptq) continue;
      PARE_ASSIGN_OR_RETURN(compressed[t], torch_model->weight(t));
    }
    PARE_ASSIGN_OR_RETURN(const double all, meter.measure(*torch_model, pool, progress));
    for (const auto& [t, weight] : compressed) torch_model->clear_override(t);

    const std::vector<double> costs = plan_costs(plan, table);
    std::map<Role, std::vector<int32_t>> groups;
    for (const auto& [t, weight] : compressed) {
      groups[desc.tensors[static_cast<size_t>(t)].role].push_back(t);
    }
    double expected_all = 0.0;
    for (size_t i = 0; i < costs.size(); ++i) expected_all += costs[i] * scale[i];
    progress.note(fmt::format("refine: {} bytes, KL measured {:.5f}, expected {:.5f}",
                              plan.file_bytes, all, expected_all));
    for (const auto& [role, tensors] : groups) {
      double expected = 0.0;
      for (int32_t t : tensors) {
        torch_model->override_weight(t, compressed[t]);
        expected += costs[static_cast<size_t>(model->source_index[static_cast<size_t>(t)])];
      }
      PARE_ASSIGN_OR_RETURN(const double found, meter.measure(*torch_model, pool, progress));
      for (int32_t t : tensors) torch_model->clear_override(t);
      if (!(expected > 0.0)) continue;
      const double ratio = std::clamp(found / expected, kMinScale, kMaxScale);
      progress.note(fmt::format("refine: {:<12} KL alone {:.5f}, expected {:.5f}, ratio {:.2f}",
                                role_name(role), found, expected, ratio));
      for (int32_t t : tensors) {
        scale[static_cast<size_t>(model->source_index[static_cast<size_t>(t)])] = ratio;
      }
    }
    PARE_ASSIGN_OR_RETURN(plan, solve_plan(*model, table, plan.budget_bytes, scale));
  }
  return plan;
}

}  // namespace pare
