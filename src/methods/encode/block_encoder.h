// Carries out a plan block by block: second moments at the block's sites are measured on streams
// that already went through the compressed blocks before it, the block's weights are rounded with
// error compensation, and the streams go on through the result. Memory: one block, its second
// moments and the streams of the calibration windows.
#pragma once

#include <memory>

#include "calib/streams.h"
#include "compress/driver.h"
#include "methods/encode/gptq.h"

namespace pare {

struct BlockEncoderOptions {
  FactorOptions factor;
};

// The model's overrides are left at the compressed weights of the last block.
class BlockEncoder final : public Encoder {
 public:
  BlockEncoder(std::shared_ptr<TorchModel> torch_model, std::shared_ptr<const Model> model,
               Plan plan, CalibrationStats stats, Windows windows, BlockEncoderOptions options,
               ThreadPool& pool, Progress& progress);

  std::string identity() const override;
  Status encode(size_t index, const Write& write) override;
  Status restored(size_t index, const PackedTensor& bytes) override;

 private:
  Status enter_block(int block);  // brings the streams to the block's input
  Status encode_tensor(size_t index, const Write& write);
  Status encode_block(int block);
  Status encode_outside(int32_t tensor, const Write& write);  // output matrix, embeddings
  Result<HessianFactor> outside_factor(int32_t tensor);
  Status encode_matrix(int32_t tensor, const HessianFactor& factor);
  size_t plan_index(int32_t tensor) const;
  const TensorPlan& planned(int32_t tensor) const { return plan_.tensors[plan_index(tensor)]; }
  bool compensates(int32_t tensor) const { return planned(tensor).method == Method::kGptq; }

  std::shared_ptr<TorchModel> torch_;
  std::shared_ptr<const Model> model_;
  Plan plan_;
  CalibrationStats stats_;
  Windows windows_;
  BlockEncoderOptions options_;
  ThreadPool& pool_;
  Progress& progress_;
  std::unique_ptr<Encoder> plain_;  // for what is kept or rounded without compensation
  Streams streams_;
  int at_block_ = -1;  // the streams are this block's input; -1: not yet embedded
  std::map<size_t, std::vector<std::byte>> ready_;  // encoded, not yet written
};

}  // namespace pare
