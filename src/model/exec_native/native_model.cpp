#include "model/exec_native/native_model.h"

#include "codecs/codec.h"
#include "kernels/matmul.h"

namespace pare {

Result<std::shared_ptr<const NativeModel>> NativeModel::load(std::shared_ptr<const Model> model) {
  std::shared_ptr<NativeModel> native(new NativeModel());
  native->model_ = std::move(model);
  const ModelDesc& desc = native->desc();
  native->packed_.resize(desc.tensors.size());
  native->floats_.resize(desc.tensors.size());
  Result<Program> program = compile(desc);
  if (!program.ok()) return program.status().with_context(native->model_->path);
  native->program_ = std::move(program).value();
  PARE_RETURN_IF_ERROR(native->load_ops(desc.graph.prologue));
  for (const OpList& ops : desc.graph.blocks) PARE_RETURN_IF_ERROR(native->load_ops(ops));
  PARE_RETURN_IF_ERROR(native->load_ops(desc.graph.epilogue));
  for (const RopeParams& rope : native->program_.ropes) {
    for (int32_t tensor : {rope.factors, rope.long_factors}) {
      if (tensor >= 0) PARE_RETURN_IF_ERROR(native->load_floats(tensor));
    }
  }
  return std::shared_ptr<const NativeModel>(std::move(native));
}

Status NativeModel::load_ops(const OpList& ops) {
  for (const Op& op : ops) {
    const bool table = op.kind == OpKind::kEmbedding || op.kind == OpKind::kPositionEmbedding;
    if (op.kind == OpKind::kLinear || table) {
      PARE_RETURN_IF_ERROR(load_matrix(op.weight, !table));
    } else if (op.weight >= 0) {
      PARE_RETURN_IF_ERROR(load_floats(op.weight));
    }
    if (op.bias >= 0) PARE_RETURN_IF_ERROR(load_floats(op.bias));
  }
  return {};
}

Result<PackedTensor> NativeModel::read(int32_t tensor) const {
  const auto index = static_cast<size_t>(tensor);
  const int64_t source = model_->source_index[index];
  const std::string& name = desc().tensors[index].name;
  if (source < 0) return not_found("{}: tensor {} is missing", model_->path, name);
  Result<PackedTensor> packed = model_->tensors->read(static_cast<size_t>(source));
  if (!packed.ok()) return packed.status().with_context(name);
  if (codec(packed->codec).decode_row == nullptr) {
    return unsupported("{}: tensor {} is {}, which cannot be decoded", model_->path, name,
                       codec(packed->codec).name);
  }
  return packed;
}

Status NativeModel::load_matrix(int32_t tensor, bool multiplied) {
  PackedTensor& packed = packed_[static_cast<size_t>(tensor)];
  if (packed.owner == nullptr) {
    PARE_ASSIGN_OR_RETURN(packed, read(tensor));
  }
  if (!multiplied) return {};
  const std::string& name = desc().tensors[static_cast<size_t>(tensor)].name;
  PARE_RETURN_IF_ERROR(
      check_matmul(packed).with_context(fmt::format("{}: tensor {}", model_->path, name)));
  bytes_per_token_ += packed.bytes.size();
  return {};
}

Status NativeModel::load_floats(int32_t tensor) {
  std::vector<float>& floats = floats_[static_cast<size_t>(tensor)];
  if (!floats.empty()) return {};
  PARE_ASSIGN_OR_RETURN(const PackedTensor packed, read(tensor));
  const int64_t rows = packed.shape.rows(), columns = packed.shape.columns();
  floats.resize(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r) {
    codec(packed.codec)
        .decode_row(packed.row_bytes(r, 1).data(), floats.data() + r * columns, columns);
  }
  bytes_per_token_ += packed.bytes.size();
  return {};
}

}  // namespace pare
