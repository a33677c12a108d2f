#include "search/refine.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "eval/compare.h"
#include "methods/encode/block_encoder.h"
#include "model/exec_torch/torch_error.h"
#include "search/mixed_source.h"

namespace pare {
namespace {

// Divergence is measured at this many positions of each window's second half,
constexpr int64_t kPositions = 128;
// whose logits are made so many at a time.
constexpr int64_t kSlice = 32;
// Windows that rounding sees here: a ratio needs fewer than the final file.
constexpr size_t kTrainWindows = 8;
// A measured ratio outside of this says more about noise than about the tensors.
constexpr double kMinScale = 0.1, kMaxScale = 10.0;

// The streams after the last block, at the measured positions; one block in memory at a time.
Result<Streams> final_streams(TorchModel& model, const TokenWindows& windows, ThreadPool& pool,
                              Progress& progress) {
  PARE_ASSIGN_OR_RETURN(Streams streams, embed_windows(model, windows, pool, progress));
  for (int b = 0; b < static_cast<int>(model.desc().graph.blocks.size()); ++b) {
    PARE_RETURN_IF_ERROR(run_block(model, b, streams, nullptr, pool, progress));
    model.release_block(b);
  }
  for (torch::Tensor& stream : streams) {
    const int64_t length = stream.size(1), first = length / 2;
    const int64_t count = std::min(kPositions, length - first);
    const torch::Tensor rows =
        (torch::arange(count, torch::kInt64) * (length - first)).floor_divide(count) + first;
    stream = stream.index_select(1, rows.to(stream.device()));
  }
  return streams;
}

Result<torch::Tensor> logits_here(TorchModel& model, const torch::Tensor& stream) {
  PARE_ASSIGN_OR_RETURN(const torch::Tensor logits, model.epilogue(stream));
  return logits.cpu().contiguous();
}

// The plan's tensors as a file, removed with this object, finished or not.
class ScratchFile {
 public:
  explicit ScratchFile(std::string path) : path_(std::move(path)) {}
  ~ScratchFile() {
    std::error_code ignored;
    for (const char* suffix : {"", ".part", ".journal"}) {
      std::filesystem::remove(path_ + suffix, ignored);
    }
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<double> divergence(const DivergenceMeter& meter, const Model& original,
                          const std::shared_ptr<const TensorSource>& compressed,
                          const std::vector<bool>& from_compressed,
                          const TorchOptions& torch_options, ThreadPool& pool, Progress& progress) {
  PARE_ASSIGN_OR_RETURN(auto mixed, mix_models(original, compressed, from_compressed));
  PARE_ASSIGN_OR_RETURN(const auto torch_model,
                        TorchModel::create(std::move(mixed), torch_options));
  return meter.measure(*torch_model, pool, progress);
}

// By source tensor: measured divergence over the expected one, of the tensor's role.
Status measure_roles(const DivergenceMeter& meter, const Model& model, const Plan& plan,
                     const std::shared_ptr<const TensorSource>& compressed,
                     const std::vector<double>& costs, const TorchOptions& torch_options,
                     std::vector<double>& scale, ThreadPool& pool, Progress& progress) {
  std::map<Role, std::vector<size_t>> groups;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const int32_t t = model.desc.find(plan.tensors[i].name);
    if (t < 0 || plan.tensors[i].method == Method::kKeep || !(costs[i] > 0.0)) continue;
    groups[model.desc.tensors[static_cast<size_t>(t)].role].push_back(i);
  }
  progress.begin("refine", groups.size(), "roles");
  uint64_t done = 0;
  for (const auto& [role, tensors] : groups) {
    std::vector<bool> chosen(plan.tensors.size(), false);
    double expected = 0.0;
    for (size_t i : tensors) {
      chosen[i] = true;
      expected += costs[i];
    }
    PARE_ASSIGN_OR_RETURN(const double found, divergence(meter, model, compressed, chosen,
                                                         torch_options, pool, progress));
    const double ratio = std::clamp(found / expected, kMinScale, kMaxScale);
    progress.note(fmt::format("refine: {:<12} KL alone {:.5f}, expected {:.5f}, ratio {:.2f}",
                              role_name(role), found, expected, ratio));
    for (size_t i : tensors) scale[i] = ratio;
    progress.advance(++done);
  }
  return {};
}

}  // namespace

Result<DivergenceMeter> DivergenceMeter::make(std::shared_ptr<TorchModel> original,
                                              const TokenWindows& windows, ThreadPool& pool,
                                              Progress& progress) {
  DivergenceMeter meter;
  meter.original_ = std::move(original);
  meter.windows_ = windows;
  PARE_ASSIGN_OR_RETURN(meter.reference_, final_streams(*meter.original_, windows, pool, progress));
  return meter;
}

Result<double> DivergenceMeter::measure(TorchModel& model, ThreadPool& pool,
                                        Progress& progress) const {
  PARE_ASSIGN_OR_RETURN(const Streams streams, final_streams(model, windows_, pool, progress));
  std::vector<double> means(windows_.size());
  PARE_RETURN_IF_ERROR(
      for_each_window(model, windows_.size(), pool, progress, [&](size_t w, int) -> Status {
        const torch::NoGradGuard no_grad;
        const int64_t positions = streams[w].size(1);
        double sum = 0.0;
        for (int64_t begin = 0; begin < positions; begin += kSlice) {
          const int64_t count = std::min(kSlice, positions - begin);
          PARE_ASSIGN_OR_RETURN(const torch::Tensor logits,
                                logits_here(model, streams[w].narrow(1, begin, count)));
          PARE_ASSIGN_OR_RETURN(const torch::Tensor reference,
                                logits_here(*original_, reference_[w].narrow(1, begin, count)));
          const int64_t vocabulary = logits.size(2);
          for (int64_t i = 0; i < count; ++i) {
            sum += score_position(logits.data_ptr<float>() + i * vocabulary,
                                  reference.data_ptr<float>() + i * vocabulary, vocabulary, 0)
                       .kl;
          }
        }
        means[w] = sum / static_cast<double>(positions);
        return {};
      }));
  double sum = 0.0;
  for (double m : means) sum += m;
  return sum / static_cast<double>(means.size());
}

namespace {

Result<Plan> refine(std::shared_ptr<const Model> model, const Plan& first_plan,
                    const std::vector<TensorCandidates>& table, const CalibrationStats& stats,
                    const TokenWindows& windows, const RefineOptions& options,
                    const TorchOptions& torch_options, ThreadPool& pool, Progress& progress) {
  // Measured on windows that the encoder does not see.
  const auto measured = std::min(static_cast<size_t>(options.windows), windows.size() / 2);
  if (measured == 0) return first_plan;
  const auto judged = windows.begin() + static_cast<int64_t>(measured);
  const TokenWindows judge(windows.begin(), judged);
  const TokenWindows train(
      judged, judged + static_cast<int64_t>(std::min(kTrainWindows, windows.size() - measured)));
  const auto new_torch_model = [&] { return TorchModel::create(model, torch_options); };
  PARE_ASSIGN_OR_RETURN(std::shared_ptr<TorchModel> original, new_torch_model());
  PARE_ASSIGN_OR_RETURN(const DivergenceMeter meter,
                        DivergenceMeter::make(std::move(original), judge, pool, progress));
  Plan plan = first_plan;
  std::vector<double> scale(table.size(), 1.0);
  for (int round = 0; round < options.rounds; ++round) {
    const ScratchFile scratch(options.scratch);
    PARE_ASSIGN_OR_RETURN(std::shared_ptr<TorchModel> changed, new_torch_model());
    BlockEncoder encoder(std::move(changed), model, plan, stats, train, {}, pool,
                         Progress::silent());
    PARE_RETURN_IF_ERROR(
        drive(*model, plan, encoder, {.output = scratch.path()}, progress).status());
    PARE_ASSIGN_OR_RETURN(const Model compressed, open_model(scratch.path(), {.tokenizer = false}));

    const std::vector<double> costs = plan_costs(plan, table);
    PARE_RETURN_IF_ERROR(measure_roles(meter, *model, plan, compressed.tensors, costs,
                                       torch_options, scale, pool, progress));
    PARE_ASSIGN_OR_RETURN(plan, solve_plan(*model, table, plan.budget_bytes, scale));
  }
  return plan;
}

}  // namespace

Result<Plan> refine_plan(std::shared_ptr<const Model> model, const Plan& plan,
                         const std::vector<TensorCandidates>& table, const CalibrationStats& stats,
                         const TokenWindows& windows, const RefineOptions& options,
                         const TorchOptions& torch_options, ThreadPool& pool, Progress& progress) {
  return without_exceptions("refining", [&] {
    return refine(std::move(model), plan, table, stats, windows, options, torch_options, pool,
                  progress);
  });
}

}  // namespace pare
