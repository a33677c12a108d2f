// Every operation of the graph, alone or with what it needs around it, on both executors: models
// of one block with random weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/rng.h"
#include "compress/backend.h"
#include "model/exec_native/native_executor.h"
#include "model/open.h"
#include "tensor/test_support.h"

namespace pare {
namespace {

constexpr int64_t kWidth = 48, kVocabulary = 20, kContext = 64;

// A graph being written down, with its weights drawn as they are named.
class Block {
 public:
  Block() {
    const int32_t table = weight({kVocabulary, kWidth});
    model_.desc.graph.prologue = {{.kind = OpKind::kEmbedding, .weight = table}};
    const int32_t output = weight({kVocabulary, kWidth});
    model_.desc.graph.epilogue = {
        {.kind = OpKind::kScale, .out = 1, .in = {kStream}},
        {.kind = OpKind::kLinear, .out = kStream, .in = {1}, .weight = output}};
    model_.desc.graph.blocks.resize(1);
  }

  int32_t weight(Shape shape, double deviation = 1.0, double mean = 0.0) {
    std::vector<float> values(static_cast<size_t>(shape.elements()));
    for (float& v : values) v = static_cast<float>(mean + deviation * rng_.normal());
    const std::string name = "w" + std::to_string(model_.desc.tensors.size());
    model_.desc.tensors.push_back({.name = name, .shape = shape});
    source_->add(name, shape, std::move(values));
    return static_cast<int32_t>(model_.desc.tensors.size()) - 1;
  }
  int32_t matrix(int64_t rows, int64_t columns) {
    return weight({rows, columns}, 1.0 / std::sqrt(static_cast<double>(columns)));
  }
  ValueId add(Op op) {
    op.out = ++values_;
    model_.desc.graph.blocks[0].push_back(op);
    return values_;
  }
  ValueId linear(ValueId in, int64_t rows, int64_t columns) {
    return add({.kind = OpKind::kLinear, .in = {in}, .weight = matrix(rows, columns)});
  }
  OpList& prologue() { return model_.desc.graph.prologue; }

  // The last value, `width` columns, becomes the stream.
  std::shared_ptr<const Model> finish(int64_t width = kWidth) {
    OpList& block = model_.desc.graph.blocks[0];
    if (width != kWidth) {
      linear(values_, kWidth, width);
    } else {
      add({.kind = OpKind::kScale, .in = {values_}});
    }
    block.back().out = kStream;
    Hparams& h = model_.desc.hparams;
    h.n_block = 1;
    h.n_embd = kWidth;
    h.n_vocab = kVocabulary;
    h.n_context = kContext;
    model_.path = "memory";
    model_.desc.arch = "test";
    for (size_t i = 0; i < model_.desc.tensors.size(); ++i) {
      model_.source_index.push_back(static_cast<int64_t>(i));
    }
    model_.tensors = source_;
    return std::make_shared<const Model>(model_);
  }

 private:
  Rng rng_{11};
  Model model_;
  std::shared_ptr<FloatSource> source_ = std::make_shared<FloatSource>();
  ValueId values_ = kStream;
};

std::vector<float> hidden(Executor& executor, std::span<const int32_t> tokens) {
  std::vector<float> out(tokens.size() * kWidth);
  const Status status = executor.run(tokens, 0, out);
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

// Equal but for the order of sums.
void expect_equal(const std::shared_ptr<const Model>& model) {
  ThreadPool pool(2);
  auto torch = pare_backend()->make_executor(model, pool);
  ASSERT_TRUE(torch.ok()) << torch.status().message();
  auto loaded = NativeModel::load(model);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const auto native = make_native_executor(*loaded, pool);
  for (size_t length : {1, 3, 40}) {
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < length; ++i) tokens.push_back(static_cast<int32_t>(7 * i % kVocabulary));
    const auto expected = hidden(**torch, tokens), found = hidden(*native, tokens);
    double largest = 0.0, worst = 0.0;
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(std::isfinite(expected[i]) && std::isfinite(found[i]));
      largest = std::max(largest, std::fabs(double{expected[i]}));
      worst = std::max(worst, std::fabs(double{expected[i]} - found[i]));
    }
    EXPECT_GT(largest, 0.0);
    EXPECT_LE(worst, 1e-5 * largest) << length << " tokens";
  }
}

struct Case {
  const char* name;
  std::function<std::shared_ptr<const Model>(Block&)> make;
};

// An operation on the stream that keeps its width.
Case on_stream(const char* name, OpKind kind, OpAttributes attr = {}) {
  return {name, [=](Block& b) {
            b.add({.kind = kind, .in = {kStream}, .attr = attr});
            return b.finish();
          }};
}

// An activation multiplied with another value, which the engine does as one.
Case gated(const char* name, OpKind kind) {
  return {name, [=](Block& b) {
            const ValueId gate = b.linear(kStream, 80, kWidth), up = b.linear(kStream, 80, kWidth);
            const ValueId active = b.add({.kind = kind, .in = {gate}});
            b.add({.kind = OpKind::kMul, .in = {active, up}});
            return b.finish(80);
          }};
}

OpAttributes heads(int count, int kv, int head_dim, int value_dim) {
  OpAttributes attr;
  attr.heads = count;
  attr.kv_heads = kv;
  attr.head_dim = head_dim;
  attr.value_dim = value_dim;
  attr.scale = 0.3f;
  return attr;
}

Case attention(const char* name, OpAttributes attr) {
  return {name, [=](Block& b) {
            const ValueId q = b.linear(kStream, attr.heads * attr.head_dim, kWidth);
            const ValueId k = b.linear(kStream, attr.kv_heads * attr.head_dim, kWidth);
            const ValueId v = b.linear(kStream, attr.kv_heads * attr.value_dim, kWidth);
            b.add({.kind = OpKind::kAttention, .in = {q, k, v}, .attr = attr});
            return b.finish(attr.heads * attr.value_dim);
          }};
}

Case rope(const char* name, RopeLayout layout, RopeParams params, bool factors = false) {
  return {name, [=](Block& b) {
            OpAttributes attr = heads(3, 3, 16, 16);
            attr.rope = params;
            attr.rope.layout = layout;
            if (factors) attr.rope.factors = b.weight({params.dims / 2}, 0.2, 2.0);
            b.add({.kind = OpKind::kRope, .in = {kStream}, .attr = attr});
            return b.finish();
          }};
}

std::vector<Case> cases() {
  OpAttributes factor, per_head, norm, windowed = heads(4, 2, 24, 16);
  factor.factor = 2.5f;
  norm.epsilon = per_head.epsilon = 1e-5f;
  per_head.head_dim = 16;
  windowed.window = 9;
  OpAttributes capped = heads(2, 2, 32, 32);
  capped.softcap = 2.0f;
  using Scaling = RopeParams::Scaling;
  return {
      {"embedding",
       [](Block& b) {
         b.prologue()[0].attr.factor = 3.0f;
         return b.finish();
       }},
      {"position_embedding",
       [](Block& b) {
         b.prologue().push_back({.kind = OpKind::kPositionEmbedding,
                                 .in = {kStream},
                                 .weight = b.weight({kContext, kWidth})});
         return b.finish();
       }},
      {"rms_norm",
       [=](Block& b) {
         b.add({.kind = OpKind::kRmsNorm,
                .in = {kStream},
                .weight = b.weight({kWidth}),
                .attr = norm});
         return b.finish();
       }},
      {"rms_norm_per_head",
       [=](Block& b) {
         b.add({.kind = OpKind::kRmsNorm,
                .in = {kStream},
                .weight = b.weight({per_head.head_dim}),
                .attr = per_head});
         return b.finish();
       }},
      {"layer_norm",
       [=](Block& b) {
         b.add({.kind = OpKind::kLayerNorm,
                .in = {kStream},
                .weight = b.weight({kWidth}),
                .bias = b.weight({kWidth}),
                .attr = norm});
         return b.finish();
       }},
      {"linear",
       [](Block& b) {
         b.add({.kind = OpKind::kLinear,
                .in = {kStream},
                .weight = b.matrix(70, kWidth),
                .bias = b.weight({70})});
         return b.finish(70);
       }},
      {"slice",
       [](Block& b) {
         const ValueId wide = b.linear(kStream, 90, kWidth);
         OpAttributes attr;
         attr.begin = 33;
         attr.width = 41;
         b.add({.kind = OpKind::kSlice, .in = {wide}, .attr = attr});
         return b.finish(41);
       }},
      {"add",
       [](Block& b) {
         const ValueId other = b.linear(kStream, kWidth, kWidth);
         b.add({.kind = OpKind::kAdd, .in = {kStream, other}});
         return b.finish();
       }},
      {"mul",
       [](Block& b) {
         const ValueId other = b.linear(kStream, kWidth, kWidth);
         b.add({.kind = OpKind::kMul, .in = {kStream, other}});
         return b.finish();
       }},
      on_stream("silu", OpKind::kSilu),
      on_stream("gelu_tanh", OpKind::kGeluTanh),
      on_stream("gelu_erf", OpKind::kGeluErf),
      on_stream("scale", OpKind::kScale, factor),
      on_stream("softcap", OpKind::kSoftcap, factor),
      gated("silu_gated", OpKind::kSilu),
      gated("gelu_tanh_gated", OpKind::kGeluTanh),
      gated("gelu_erf_gated", OpKind::kGeluErf),
      attention("attention", heads(4, 4, 16, 16)),
      attention("attention_grouped", heads(6, 2, 32, 64)),
      attention("attention_windowed", windowed),
      attention("attention_softcapped", capped),
      rope("rope_interleaved", RopeLayout::kInterleaved, {.dims = 16}),
      rope("rope_halves", RopeLayout::kHalves, {.dims = 16}),
      rope("rope_of_some_columns", RopeLayout::kHalves, {.dims = 8}),
      rope("rope_with_factors", RopeLayout::kInterleaved, {.dims = 16}, true),
      rope("rope_linear", RopeLayout::kHalves,
           {.dims = 16, .scaling = Scaling::kLinear, .factor = 4.0f}),
      rope("rope_yarn", RopeLayout::kHalves,
           {.dims = 16,
            .scaling = Scaling::kYarn,
            .factor = 4.0f,
            .attention_factor = 1.2f,
            .original_context = 16}),
  };
}

class Operation : public testing::TestWithParam<Case> {};

TEST_P(Operation, IsTheSameOnBothExecutors) {
  Block block;
  expect_equal(GetParam().make(block));
}

INSTANTIATE_TEST_SUITE_P(Every, Operation, testing::ValuesIn(cases()),
                         [](const auto& found) { return std::string(found.param.name); });

}  // namespace
}  // namespace pare
