// Attention on the GPU through caches of every form against the definition, in double.
#include <cmath>

#include "base/half.h"
#include "base/rng.h"
#include "codecs/codec.h"
#include "kernels/cuda/attention.h"
#include "model/exec_cuda/gpu_test_util.h"

namespace pare {
namespace {

using gpu_test::Array;

struct Case {
  int heads, kv_heads, head_dim, value_dim;
  int64_t position, tokens;
  int window = 0;
  float softcap = 0.0f;
};
constexpr Case kCases[] = {
    {1, 1, 8, 8, 0, 1},        {3, 1, 64, 64, 0, 40},        {8, 2, 32, 64, 5, 17},
    {9, 3, 64, 32, 300, 1},    {4, 4, 96, 96, 700, 3},       {2, 1, 32, 32, 1000, 1, 100},
    {4, 2, 32, 32, 60, 70, 9}, {4, 1, 64, 64, 0, 130},       {6, 3, 64, 64, 515, 2, 400, 3.0f},
    {2, 2, 20, 12, 30, 9},     {5, 1, 7, 5, 100, 66, 33},    {8, 1, 128, 128, 250, 8, 0, 20.0f},
    {8, 2, 128, 128, 70, 100}, {4, 2, 256, 256, 40, 33, 50}, {6, 2, 96, 96, 10, 77, 0, 5.0f},
    {16, 2, 64, 64, 3000, 1},  {32, 1, 64, 64, 31, 5},       {4, 2, 128, 128, 500, 300, 129},
};
constexpr float kScale = 0.4f;

std::vector<double> expected(const Case& c, const std::vector<float>& q,
                             const std::vector<float>& k, const std::vector<float>& v) {
  std::vector<double> out(static_cast<size_t>(c.tokens * c.heads * c.value_dim));
  for (int64_t t = 0; t < c.tokens; ++t) {
    for (int64_t h = 0; h < c.heads; ++h) {
      const int64_t at = c.position + t, kv = h / (c.heads / c.kv_heads);
      const int64_t first = c.window > 0 ? std::max<int64_t>(0, at - c.window + 1) : 0;
      std::vector<double> scores;
      double top = -1e300, sum = 0;
      for (int64_t j = first; j <= at; ++j) {
        double score = 0;
        for (int64_t i = 0; i < c.head_dim; ++i) {
          score += double{q[static_cast<size_t>((t * c.heads + h) * c.head_dim + i)]} *
                   k[static_cast<size_t>((j * c.kv_heads + kv) * c.head_dim + i)];
        }
        score *= kScale;
        if (c.softcap != 0.0f) score = c.softcap * std::tanh(score / c.softcap);
        scores.push_back(score);
        top = std::max(top, score);
      }
      double* row = out.data() + (t * c.heads + h) * c.value_dim;
      for (size_t s = 0; s < scores.size(); ++s) {
        const double weight = std::exp(scores[s] - top);
        sum += weight;
        const int64_t j = first + static_cast<int64_t>(s);
        for (int64_t i = 0; i < c.value_dim; ++i) {
          row[i] += weight * v[static_cast<size_t>((j * c.kv_heads + kv) * c.value_dim + i)];
        }
      }
      for (int64_t i = 0; i < c.value_dim; ++i) row[i] /= sum;
    }
  }
  return out;
}

class GpuAttention : public testing::TestWithParam<CodecId> {
 protected:
  void SetUp() override { PARE_NEEDS_GPU(); }
};

TEST_P(GpuAttention, EqualsTheDefinition) {
  const CodecId form = GetParam();
  const double tolerance = form == CodecId::kF32    ? 2e-5
                           : form == CodecId::kF16  ? 4e-3
                           : form == CodecId::kQ8_0 ? 3e-2
                                                    : 5e-1;
  for (const Case& c : kCases) {
    if (!codec(form).divides(c.head_dim) || !codec(form).divides(c.value_dim)) continue;
    gpu_test::TestStream device;
    cuda::Stream& stream = device.stream;
    Rng rng(7);
    const int64_t length = c.position + c.tokens, capacity = length + 3;
    const auto fill = [&](int64_t n, double size) {
      std::vector<float> x(static_cast<size_t>(n));
      for (float& value : x) value = static_cast<float>(size * rng.normal());
      return x;
    };
    // Scores of ordinary size, so that no single key decides.
    const double size = std::pow(static_cast<double>(c.head_dim), -0.25);
    const auto q = fill(c.tokens * c.heads * c.head_dim, size);
    const auto k = fill(length * c.kv_heads * c.head_dim, size);
    const auto v = fill(length * c.kv_heads * c.value_dim, 1.0);
    const auto want = expected(c, q, k, v);
    const Array<float> q_there(q), k_there(k), v_there(v);
    const std::vector<int32_t> positions = {0, static_cast<int32_t>(c.position)};
    const Array<int32_t> position(positions);

    cuda::KvLayer layer;
    layer.form = form;
    layer.capacity = capacity;
    layer.kv_heads = c.kv_heads;
    const bool floats = form == CodecId::kF32 || form == CodecId::kF16;
    layer.key_columns = floats ? (c.head_dim + 3) / 4 * 4 : c.head_dim;
    layer.value_columns = floats ? (c.value_dim + 3) / 4 * 4 : c.value_dim;
    const int64_t rows = capacity * c.kv_heads;
    const auto bytes = [](int64_t n) { return static_cast<size_t>(n); };
    const Array<uint8_t> keys(bytes(rows * cuda::kv_row_bytes(form, c.head_dim)));
    const Array<uint8_t> values(bytes(rows * cuda::kv_row_bytes(form, c.value_dim)));
    const Array<uint16_t> key_scales(bytes(rows * cuda::kv_scale_bytes(form, c.head_dim) / 2));
    const Array<uint16_t> value_scales(bytes(rows * cuda::kv_scale_bytes(form, c.value_dim) / 2));
    layer.keys = keys.data();
    layer.values = values.data();
    layer.key_scales = key_scales.data();
    layer.value_scales = value_scales.data();

    cuda::StoreInput store;
    store.k = {k_there.data(), int64_t{c.kv_heads} * c.head_dim};
    store.v = {v_there.data(), int64_t{c.kv_heads} * c.value_dim};
    store.tokens = length;
    store.heads = c.heads;
    store.head_dim = c.head_dim;
    store.value_dim = c.value_dim;
    cuda::store_keys_values(stream, store, layer, position.data());

    cuda::AttentionInput in;
    in.q = {q_there.data(), int64_t{c.heads} * c.head_dim};
    in.tokens = c.tokens;
    in.heads = c.heads;
    in.head_dim = c.head_dim;
    in.value_dim = c.value_dim;
    in.scale = kScale;
    in.softcap = c.softcap;
    in.window = c.window;
    for (const int way : {0, 1, 2}) {
      const bool flash = way == 1, one = way == 2;
      for (const int64_t longest : {length, 4 * length}) {
        if (flash && !cuda::has_flash_attention(in, layer)) continue;
        if (one && c.tokens != 1) continue;
        in.longest = longest;
        const int64_t stride = int64_t{c.heads} * c.value_dim + 3;
        const Array<float> out(bytes(c.tokens * stride));
        const Array<float> scratch(bytes(cuda::attention_scratch(in, layer)));
        if (flash) {
          cuda::flash_attention(stream, in, layer, position.data() + 1, {out.data(), stride});
        } else if (one) {
          // Stores the last key and value again, over what is not one.
          const std::vector<int> zeros(bytes(cuda::attention_counters(in, layer)), 0);
          const Array<int> counters(zeros);
          cuda::StoreInput last = store;
          last.q = in.q;
          last.k.data += c.position * store.k.stride;
          last.v.data += c.position * store.v.stride;
          last.tokens = 1;
          for (int again = 0; again < 3; ++again) {
            cuda::attention_one(stream, last, in, layer, position.data() + 1, scratch.data(),
                                counters.data(), out.data());
          }
          device.wait();
          EXPECT_EQ(counters.read(), zeros);
        } else {
          cuda::Forms forms;
          forms.floats = {out.data(), stride};
          cuda::attention(stream, in, layer, position.data() + 1, scratch.data(), forms);
        }
        device.wait();
        if (HasFatalFailure()) return;
        const auto found = out.read();
        for (int64_t t = 0; t < c.tokens; ++t) {
          for (int64_t i = 0; i < stride - 3; ++i) {
            ASSERT_NEAR(found[bytes(t * stride + i)], want[bytes(t * (stride - 3) + i)], tolerance)
                << codec(form).name
                << (flash ? ", tensor cores"
                    : one ? ", one"
                          : "")
                << ": " << c.heads << "/" << c.kv_heads << " heads of " << c.head_dim
                << ", position " << c.position << ", token " << t << " of " << c.tokens
                << ", column " << i;
          }
          for (int64_t i = stride - 3; i < stride; ++i) {
            ASSERT_TRUE(std::isnan(found[bytes(t * stride + i)])) << "written past the row";
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, GpuAttention,
                         testing::Values(CodecId::kF32, CodecId::kF16, CodecId::kQ8_0,
                                         CodecId::kQ4_0),
                         [](const auto& id) { return std::string(codec(id.param).name); });

}  // namespace
}  // namespace pare
