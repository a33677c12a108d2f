// Proof that the file on disk is what was meant: reopened with the reader that any program would
// use, every byte compared, every tensor dequantized and set against its source.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "base/threads.h"
#include "compress/driver.h"
#include "model/open.h"
#include "planner/plan.h"

namespace pare {

struct TensorError {
  double error2 = 0.0, source2 = 0.0;  // sums of squares: of the differences, of the source
  double relative_rms = 0.0;           // ||decoded - source|| / ||source||, 0 for a tensor of zeros
  double max_abs = 0.0;                // largest |decoded - source|
  double cosine = 1.0;                 // of the angle between the two; 1 for two tensors of zeros
};

struct VerifyResult {
  std::vector<TensorError> tensors;  // in plan order
  double relative_rms = 0.0;         // over all weights together
};

// Compares two packed tensors of the same shape, both dequantized.
Result<TensorError> compare_tensors(const PackedTensor& source, const PackedTensor& other,
                                    ThreadPool& pool);

// kBrokenPromise if names, types, metadata, sizes or any byte are not what was planned and
// written, if a tensor dequantizes to something that is not finite, or if it has lost its source
// (a relative error of 1 or more says that zeros would have been as good).
Result<VerifyResult> verify_output(const Model& source, const Plan& plan,
                                   const DriveResult& written, ThreadPool& pool,
                                   Progress& progress);

}  // namespace pare
