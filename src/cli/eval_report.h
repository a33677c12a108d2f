// Evaluation results as text and JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "eval/compare.h"

namespace pare::cli {

std::string eval_to_text(const EvalResult& result);
nlohmann::ordered_json eval_to_json(const EvalResult& result);

}  // namespace pare::cli
