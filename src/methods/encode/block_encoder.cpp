#include "methods/encode/block_encoder.h"

#include <cstring>
#include <numeric>

#include "base/hash.h"
#include "model/exec_torch/torch_error.h"
#include "planner/probe.h"

namespace pare {
namespace {

// Rows of a matrix outside blocks that are floats at a time: vocabularies are large.
constexpr int64_t kOutsideRows = 4096;

}  // namespace

BlockEncoder::BlockEncoder(std::shared_ptr<TorchModel> torch_model,
                           std::shared_ptr<const Model> model, Plan plan, CalibrationStats stats,
                           Windows windows, BlockEncoderOptions options, ThreadPool& pool,
                           Progress& progress)
    : torch_(std::move(torch_model)),
      model_(std::move(model)),
      plan_(std::move(plan)),
      stats_(std::move(stats)),
      windows_(std::move(windows)),
      options_(options),
      pool_(pool),
      progress_(progress),
      plain_(make_rtn_encoder(*model_, plan_, &stats_, pool_)) {}

std::string BlockEncoder::identity() const {
  Hasher hasher;
  for (const auto& window : windows_) hasher.add(std::as_bytes(std::span(window)));
  return fmt::format("gptq damping {} windows {} {}", options_.factor.damping, hasher.hex(),
                     plain_->identity());
}

size_t BlockEncoder::plan_index(int32_t tensor) const {
  return static_cast<size_t>(model_->source_index[static_cast<size_t>(tensor)]);
}

Status BlockEncoder::encode(size_t index, const Write& write) {
  return without_exceptions("encoding", [&] { return encode_tensor(index, write); });
}

Status BlockEncoder::encode_tensor(size_t index, const Write& write) {
  const int32_t tensor = model_->desc.find(plan_.tensors[index].name);
  if (plan_.tensors[index].method != Method::kGptq || tensor < 0) {
    return plain_->encode(index, write);
  }
  if (!ready_.contains(index)) {
    const int block = model_->desc.tensors[static_cast<size_t>(tensor)].block;
    PARE_RETURN_IF_ERROR(
        enter_block(block >= 0 ? block : static_cast<int>(model_->desc.graph.blocks.size())));
    if (block < 0) return encode_outside(tensor, write);
    PARE_RETURN_IF_ERROR(encode_block(block));
  }
  const auto ready = ready_.find(index);
  if (ready == ready_.end()) return internal_error("was not encoded with its block");
  const Status status = write(ready->second);
  ready_.erase(ready);
  return status;
}

Status BlockEncoder::restored(size_t index, const PackedTensor& bytes) {
  const int32_t tensor = model_->desc.find(plan_.tensors[index].name);
  if (tensor < 0 || model_->desc.tensors[static_cast<size_t>(tensor)].block < 0) return {};
  if (plan_.tensors[index].method == Method::kKeep) return {};
  return without_exceptions("taking a weight over", [&]() -> Status {
    PARE_ASSIGN_OR_RETURN(torch::Tensor value, decode_tensor(bytes));
    torch_->override_weight(tensor, std::move(value));
    return {};
  });
}

Status BlockEncoder::enter_block(int block) {
  if (at_block_ < 0) {
    PARE_ASSIGN_OR_RETURN(streams_, embed_windows(*torch_, windows_, pool_, progress_));
    at_block_ = 0;
  }
  for (; at_block_ < block; ++at_block_) {
    PARE_RETURN_IF_ERROR(run_block(*torch_, at_block_, streams_, nullptr, pool_, progress_));
    torch_->release_block(at_block_);
    for (size_t t = 0; t < model_->desc.tensors.size(); ++t) {
      if (model_->desc.tensors[t].block == at_block_) {
        torch_->clear_override(static_cast<int32_t>(t));
      }
    }
  }
  return {};
}

Status BlockEncoder::encode_block(int block) {
  // An interrupted run may have left some tensors of this block: measure on the originals.
  for (size_t t = 0; t < model_->desc.tensors.size(); ++t) {
    if (model_->desc.tensors[t].block == block) torch_->clear_override(static_cast<int32_t>(t));
  }
  SiteMoments moments;
  Streams measured = streams_;
  PARE_RETURN_IF_ERROR(run_block(*torch_, block, measured, &moments, pool_, progress_));
  measured.clear();
  for (auto& [site, moment] : moments.second_moment) moment.div_(moments.tokens);
  PARE_ASSIGN_OR_RETURN(const auto factors,
                        make_factors(moments.second_moment, options_.factor, pool_));
  for (const auto& [site, factor] : factors) {
    for (int32_t tensor : model_->desc.sites[static_cast<size_t>(site)].readers) {
      if (model_->source_index[static_cast<size_t>(tensor)] < 0) continue;
      PARE_RETURN_IF_ERROR(encode_matrix(tensor, factor));
    }
  }
  return {};
}

Status BlockEncoder::encode_outside(int32_t tensor, const Write& write) {
  PARE_ASSIGN_OR_RETURN(const HessianFactor factor, outside_factor(tensor));
  const size_t index = plan_index(tensor);
  PARE_ASSIGN_OR_RETURN(const PackedTensor source, model_->tensors->read(index));
  const int64_t rows = source.shape.rows();
  for (int64_t begin = 0; begin < rows; begin += kOutsideRows) {
    const int64_t count = std::min(kOutsideRows, rows - begin);
    PARE_ASSIGN_OR_RETURN(const torch::Tensor weight,
                          decode_tensor({.codec = source.codec,
                                         .shape = {count, source.shape.columns()},
                                         .bytes = source.row_bytes(begin, count),
                                         .owner = source.owner}));
    // The plain encoder names row and column; rows have been written, so nothing of its own is.
    if (!weight.isfinite().all().item<bool>()) {
      return plain_->encode(index, [](std::span<const std::byte>) { return Status(); });
    }
    PARE_ASSIGN_OR_RETURN(const EncodedTensor encoded,
                          gptq_encode(codec(plan_.tensors[index].codec), weight, factor, pool_));
    PARE_RETURN_IF_ERROR(write(encoded.bytes));
  }
  model_->tensors->release(index);
  return {};
}

Result<HessianFactor> BlockEncoder::outside_factor(int32_t tensor) {
  PARE_ASSIGN_OR_RETURN(SiteMoments moments,
                        output_moments(*torch_, tensor, streams_, pool_, progress_));
  const TensorDesc& desc = model_->desc.tensors[static_cast<size_t>(tensor)];
  torch::Tensor moment;
  for (const auto& [site, value] : moments.second_moment) {
    const auto& readers = model_->desc.sites[static_cast<size_t>(site)].readers;
    if (std::find(readers.begin(), readers.end(), tensor) != readers.end()) {
      moment = value / moments.tokens;
    }
  }
  if (!moment.defined()) return internal_error("{}: no site reads it", desc.name);
  // A tied embedding is also looked up: an error in column c of a row costs its share there.
  const TensorStats* stats = stats_.find(desc.name);
  if (desc.role == Role::kTokenEmbedding && stats != nullptr && !stats->out_grad2.empty() &&
      stats_.embedding_grad2.size() == static_cast<size_t>(moment.size(0))) {
    const double gradient = std::accumulate(stats->out_grad2.begin(), stats->out_grad2.end(), 0.0);
    const torch::Tensor lookup =
        torch::from_blob(stats_.embedding_grad2.data(), {moment.size(0)}, torch::kFloat32)
            .to(torch::kFloat64)
            .to(moment.device());
    moment = moment * gradient;
    moment.diagonal().add_(lookup);
  }
  return HessianFactor::make(moment, options_.factor);
}

Status BlockEncoder::encode_matrix(int32_t tensor, const HessianFactor& factor) {
  const size_t index = plan_index(tensor);
  const TensorPlan& plan = plan_.tensors[index];
  if (plan.method == Method::kKeep || ready_.contains(index)) return {};
  PARE_ASSIGN_OR_RETURN(const torch::Tensor weight, torch_->weight(tensor));
  if (!weight.isfinite().all().item<bool>()) {
    // The plain encoder names row and column.
    return plain_->encode(index, [](std::span<const std::byte>) { return Status(); });
  }
  EncodedTensor encoded;
  if (compensates(tensor)) {
    PARE_ASSIGN_OR_RETURN(encoded, gptq_encode(codec(plan.codec), weight, factor, pool_));
    ready_[index] = std::move(encoded.bytes);
  } else {
    torch::Tensor importance;
    if (const TensorStats* stats = stats_.find(plan.name); stats != nullptr) {
      std::vector<float> mean = stats->importance();
      importance = torch::from_blob(mean.data(), {static_cast<int64_t>(mean.size())}).clone();
    }
    PARE_ASSIGN_OR_RETURN(encoded, rtn_encode(codec(plan.codec), weight, importance, pool_));
  }
  torch_->override_weight(tensor, encoded.decoded);
  return {};
}

}  // namespace pare
