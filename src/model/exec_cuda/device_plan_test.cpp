// Plans for the device: what is joined, and that every read is of what was written last. Needs no
// GPU.
#include "model/exec_cuda/device_plan.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "model/exec_native/native_model.h"
#include "model/test_support.h"

namespace pare {
namespace {

struct Planned {
  std::shared_ptr<const NativeModel> model;
  DevicePlan plan;
};
Planned plan_of(const std::string& golden) {
  Result<Model> opened =
      open_model((golden_logits_directory() / golden).string(), {.tokenizer = false});
  EXPECT_TRUE(opened.ok()) << opened.status().message();
  auto native = NativeModel::load(std::make_shared<const Model>(std::move(opened).value()));
  EXPECT_TRUE(native.ok()) << native.status().message();
  auto plan = plan_for_device((*native)->desc(), (*native)->program());
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  return {*native, std::move(plan).value()};
}

TEST(DevicePlan, ALlamaBlockIsSevenOperations) {
  const Planned p = plan_of("llama");
  for (const DevicePart& block : p.plan.blocks) {
    std::vector<OpKind> kinds;
    for (const DeviceOp& op : block.ops) kinds.push_back(op.kind);
    using enum OpKind;
    // norm; q, k, v; ropes and attention; o and the stream; norm; gate and up; down and the stream
    EXPECT_EQ(kinds, (std::vector<OpKind>{kRmsNorm, kLinear, kAttention, kLinear, kRmsNorm, kLinear,
                                          kLinear}));
    EXPECT_EQ(block.ops[1].linears.size(), 3u);
    EXPECT_EQ(block.ops[1].linears[0].out.buffer, block.ops[1].linears[2].out.buffer);
    EXPECT_GE(block.ops[2].q_rope, 0);
    EXPECT_EQ(block.ops[3].residual.buffer, 0);
    EXPECT_NE(block.ops[5].gate, nullptr);
    EXPECT_EQ(block.ops[6].out, (DevicePlace{0, 0, p.model->width()}));
  }
  EXPECT_EQ(p.plan.epilogue.ops.back().out, p.plan.logits);
}

TEST(DevicePlan, OperationsReadWhatWasWritten) {
  for (const auto& entry : std::filesystem::directory_iterator(golden_logits_directory())) {
    const Planned p = plan_of(entry.path().filename().string());
    SCOPED_TRACE(entry.path().string());
    const auto check = [&](const DevicePart& part, bool begins_with_stream) {
      std::map<int32_t, int64_t> written;  // columns of a buffer, from the first
      if (begins_with_stream) written[0] = p.model->width();
      const auto reads = [&](const DevicePlace& in) {
        ASSERT_TRUE(written.count(in.buffer) == 1) << "buffer " << in.buffer;
        EXPECT_LE(in.begin + in.width, written[in.buffer]);
      };
      const auto writes = [&](const DevicePlace& out) {
        EXPECT_LE(out.begin + out.width, p.plan.buffers[static_cast<size_t>(out.buffer)]);
        written[out.buffer] = std::max(written[out.buffer], out.begin + out.width);
      };
      for (const DeviceOp& op : part.ops) {
        for (const DevicePlace& in : op.in) reads(in);
        if (op.residual.buffer >= 0) reads(op.residual);
        for (const DeviceLinear& linear : op.linears) {
          EXPECT_NE(linear.out.buffer, op.in[0].buffer) << "a product over its own input";
          writes(linear.out);
        }
        if (op.q_out.buffer >= 0) writes(op.q_out);
        writes(op.out);
      }
    };
    check(p.plan.prologue, false);
    for (const DevicePart& block : p.plan.blocks) check(block, true);
    check(p.plan.epilogue, true);
  }
}

}  // namespace
}  // namespace pare
