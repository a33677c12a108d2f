#include "cli/eval_report.h"

#include <fmt/format.h>

namespace pare::cli {

std::string eval_to_text(const EvalResult& r) {
  std::string text =
      fmt::format("perplexity     {:.4f} ± {:.4f}\n", r.perplexity.value, r.perplexity.error);
  if (!r.compared) return text;
  text += fmt::format("baseline       {:.4f} ± {:.4f}\n", r.baseline_perplexity.value,
                      r.baseline_perplexity.error);
  text += fmt::format("ln ratio       {:.5f} ± {:.5f}\n", r.log_ratio.value, r.log_ratio.error);
  text += fmt::format("mean KL        {:.5f} ± {:.5f}\n", r.mean_kl.value, r.mean_kl.error);
  text += fmt::format("median KL      {:.5f}\n99 % KL        {:.5f}\nlargest KL     {:.5f}\n",
                      r.median_kl, r.p99_kl, r.max_kl);
  text += fmt::format("same top-1     {:.2f} ± {:.2f} %\n", 100.0 * r.same_top1.value,
                      100.0 * r.same_top1.error);
  return text;
}

nlohmann::ordered_json eval_to_json(const EvalResult& r) {
  const auto estimate = [](const Estimate& e) {
    return nlohmann::ordered_json{{"value", e.value}, {"error", e.error}};
  };
  nlohmann::ordered_json json = {
      {"chunks", r.chunks}, {"positions", r.positions}, {"perplexity", estimate(r.perplexity)}};
  if (r.compared) {
    json["baseline_perplexity"] = estimate(r.baseline_perplexity);
    json["log_ratio"] = estimate(r.log_ratio);
    json["mean_kl"] = estimate(r.mean_kl);
    json["median_kl"] = r.median_kl;
    json["p99_kl"] = r.p99_kl;
    json["max_kl"] = r.max_kl;
    json["same_top1"] = estimate(r.same_top1);
    json["chunk_kl"] = r.chunk_kl;
  }
  return json;
}

}  // namespace pare::cli
