// How plans and written files are shown, shared by the verbs that make them.
#pragma once

#include "compress/driver.h"
#include "compress/verify.h"
#include "planner/plan.h"

namespace pare::cli {

// What would be written: types by role, exact size.
void print_plan(const Plan& plan, const Model& model, bool json);

// What was written and how near it is to its source.
void print_written(const Plan& plan, const Model& model, const DriveResult& written,
                   const VerifyResult& verified, double seconds, bool json);

}  // namespace pare::cli
