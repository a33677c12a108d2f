#include <nlohmann/json.hpp>

#include "report/report.h"

namespace pare {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Estimate& e) { return {{"value", e.value}, {"error", e.error}}; }

Json to_json(const EvalResult& e) {
  Json json = {
      {"chunks", e.chunks}, {"positions", e.positions}, {"perplexity", to_json(e.perplexity)}};
  if (!e.compared) return json;
  json["baseline_perplexity"] = to_json(e.baseline_perplexity);
  json["log_ratio"] = to_json(e.log_ratio);
  json["mean_kl"] = to_json(e.mean_kl);
  json["median_kl"] = e.median_kl;
  json["p99_kl"] = e.p99_kl;
  json["max_kl"] = e.max_kl;
  json["same_top1"] = to_json(e.same_top1);
  return json;
}

Json to_json(const ReportRow& row) {
  Json json = {{"label", row.label},
               {"file", row.file},
               {"bytes", row.bytes},
               {"bits_per_weight", row.bits_per_weight}};
  if (row.measured) json["eval"] = to_json(row.eval);
  if (row.seconds > 0.0) json["seconds"] = row.seconds;
  if (row.peak_memory > 0) json["peak_memory_bytes"] = row.peak_memory;
  if (!row.sample.empty()) json["sample"] = row.sample;
  return json;
}

Json to_json(const ReportTensor& t) {
  Json json = {{"name", t.name}, {"role", t.role}};
  if (t.block >= 0) json["block"] = t.block;
  json.update({{"shape", t.shape},
               {"from", t.from},
               {"to", t.to},
               {"method", t.method},
               {"why", t.why},
               {"bytes", t.bytes},
               {"bits_per_weight", t.bits_per_weight},
               {"relative_rms", t.relative_rms},
               {"expected_kl", t.expected_kl}});
  return json;
}

}  // namespace

std::string json_report(const Report& report) {
  Json json = {{"schema", 1},
               {"model", report.model},
               {"arch", report.arch},
               {"command", report.command},
               {"version", report.version},
               {"date", report.date},
               {"calibration", report.calibration},
               {"evaluation", report.evaluation},
               {"prompt", report.prompt},
               {"budget_bytes", report.budget_bytes}};
  json["rows"] = Json::array();
  for (const ReportRow& row : report.rows) json["rows"].push_back(to_json(row));
  json["tensors"] = Json::array();
  for (const ReportTensor& tensor : report.tensors) json["tensors"].push_back(to_json(tensor));
  json["proof"] = report.proof;
  // Names come from files and need not be UTF-8.
  return json.dump(1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace pare
