#include "model/exec_cuda/session_memory.h"

#include <algorithm>

#include "kernels/cuda/matmul.h"

namespace pare {
namespace {

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

cuda::AttentionInput attention_input(const OpAttributes& attr) {
  cuda::AttentionInput in;
  in.heads = attr.heads;
  in.head_dim = attr.head_dim;
  in.value_dim = attr.value_dim;
  in.scale = attr.scale;
  in.softcap = attr.softcap;
  in.window = static_cast<int>(std::min<int64_t>(attr.window, 1 << 30));
  return in;
}

void lay_out_session(const CudaModel& model, int64_t context, CodecId kv, Arena* arena,
                     SessionArrays* arrays) {
  const DevicePlan& plan = model.plan();
  const Program& program = model.model().program();
  *arrays = {};
  arrays->piece = std::min(kDevicePiece, context);
  for (size_t b = 0; b < plan.buffers.size(); ++b) {
    const bool epilogue = static_cast<int32_t>(b) >= plan.logits.buffer;
    const int64_t stride = round_up(plan.buffers[b], 32);
    // The stream takes what project() is given, too.
    const int64_t rows = epilogue ? kLogitRows : std::max(arrays->piece, kLogitRows);
    arrays->buffers.push_back({arena->take<float>(rows * stride), stride});
  }
  int64_t widest = 32, joined = 32, halves = kDevicePiece * model.model().width();
  const auto look_at = [&](const DevicePart& part) {
    for (const DeviceOp& op : part.ops) {
      if (op.kind != OpKind::kLinear) continue;
      widest = std::max(widest, op.in[0].width);
      if (op.residual.buffer >= 0) joined = std::max(joined, op.out.width);
      int64_t together = 0;
      for (const DeviceLinear& linear : op.linears) together += linear.out.width * op.in[0].width;
      halves = std::max(halves, together);
    }
  };
  for (const DevicePart& part : plan.blocks) look_at(part);
  arrays->weight_halves = std::min(halves, kWeightScratch);
  look_at(plan.prologue);
  look_at(plan.epilogue);
  widest = round_up(widest, 128);
  arrays->int8 = {arena->take<int8_t>(cuda::kFewTokens * widest),
                  arena->take<float>(cuda::kFewTokens * widest / 32),
                  arena->take<int16_t>(cuda::kFewTokens * widest / 16)};
  arrays->half = arena->take<uint16_t>(std::max(arrays->piece, kLogitRows) * widest);
  arrays->half_scale = arena->take<float>(std::max(arrays->piece, kLogitRows));
  arrays->weights = arena->take<uint16_t>(arrays->weight_halves);
  joined = round_up(joined, 32);
  arrays->product = {arena->take<float>(arrays->piece * joined), joined};

  int64_t scratch = 1;
  arrays->layers.resize(program.attentions.size());
  for (size_t b = static_cast<size_t>(model.first_block()); b < plan.blocks.size(); ++b) {
    for (const DeviceOp& op : plan.blocks[b].ops) {
      if (op.kind != OpKind::kAttention) continue;
      const OpAttributes& attr = op.op->attr;
      cuda::KvLayer& layer = arrays->layers[static_cast<size_t>(op.layer)];
      const bool floats = kv == CodecId::kF32 || kv == CodecId::kF16;
      layer.form = kv;
      layer.capacity = context;
      layer.kv_heads = attr.kv_heads;
      layer.key_columns = static_cast<int>(floats ? round_up(attr.head_dim, 4) : attr.head_dim);
      layer.value_columns = static_cast<int>(floats ? round_up(attr.value_dim, 4) : attr.value_dim);
      const int64_t rows = context * attr.kv_heads;
      layer.keys = arena->take(rows * cuda::kv_row_bytes(kv, attr.head_dim));
      layer.values = arena->take(rows * cuda::kv_row_bytes(kv, attr.value_dim));
      layer.key_scales =
          reinterpret_cast<uint16_t*>(arena->take(rows * cuda::kv_scale_bytes(kv, attr.head_dim)));
      layer.value_scales =
          reinterpret_cast<uint16_t*>(arena->take(rows * cuda::kv_scale_bytes(kv, attr.value_dim)));
      cuda::AttentionInput in = attention_input(attr);
      in.longest = context;
      arrays->counter_count = std::max(arrays->counter_count, cuda::attention_counters(in, layer));
      // Beyond some hundred tokens keys are not taken in parts.
      for (in.tokens = 1; in.tokens <= std::min<int64_t>(arrays->piece, 256); ++in.tokens) {
        scratch = std::max(scratch, cuda::attention_scratch(in, layer));
      }
    }
  }
  arrays->attention = arena->take<float>(scratch);
  arrays->counters = arena->take<int>(arrays->counter_count);

  int64_t pairs = 1;
  for (const RopeParams& rope : program.ropes) {
    cuda::Turns turns;
    turns.pairs = rope.dims / 2;
    turns.halves = rope.layout == RopeLayout::kHalves;
    turns.table = arena->take<float>(2 * turns.pairs * context);
    arrays->turns.push_back(turns);
    pairs += turns.pairs;
  }
  arrays->frequencies = arena->take<double>(pairs);
  arrays->params = arena->take<int32_t>(2 + arrays->piece);
  arrays->index = arena->take<int32_t>(arrays->piece);
}

uint64_t session_bytes(const CudaModel& model, int64_t context, CodecId kv) {
  Arena count;
  SessionArrays arrays;
  lay_out_session(model, context, kv, &count, &arrays);
  return count.used();
}

}  // namespace pare
