// Products with every codec on the GPU, against sums in double of what the codecs decode and of
// activations rounded as the kernels round them. All tails of rows, columns and tokens.
#include <algorithm>
#include <cmath>
#include <memory>

#include "base/half.h"
#include "codecs/codec_test_util.h"
#include "kernels/cuda/rows.h"
#include "model/exec_cuda/gpu_test_util.h"

namespace pare {
namespace {

using gpu_test::Array;

// A matrix of random blocks that decode to numbers of ordinary size.
struct Weights {
  std::vector<std::byte> packed;
  std::vector<float> values;
};
Weights random_weights(const Codec& c, int64_t rows, int64_t columns, Rng& rng) {
  Weights w;
  const auto all = static_cast<size_t>(rows * columns);
  if (c.block_len == 1) {
    const auto x = codec_test::normal_row(rng, all);
    w.packed.resize(c.row_bytes(rows * columns));
    c.encode_row(x.data(), nullptr, w.packed.data(), rows * columns);
    w.values = codec_test::decode(c, w.packed, all);
    return w;
  }
  while (w.values.size() < all) {
    const auto block = codec_test::random_bytes(rng, static_cast<size_t>(c.block_bytes));
    const auto values = codec_test::decode(c, block, static_cast<size_t>(c.block_len));
    const bool fits =
        std::all_of(values.begin(), values.end(), [](float v) { return std::abs(v) < 100.0f; });
    if (!fits) continue;
    w.packed.insert(w.packed.end(), block.begin(), block.end());
    w.values.insert(w.values.end(), values.begin(), values.end());
  }
  return w;
}

// The matrix on the device; keeps its memory.
struct DeviceMatrix {
  cuda::Matrix matrix;
  std::unique_ptr<Array<uint8_t>> memory;
  DeviceMatrix(const Codec& c, const Weights& w, int64_t rows, int64_t columns,
               cuda::Stream& stream) {
    const cuda::DeviceCodec& known = *cuda::find_device_codec(c.id);
    matrix = {c.id, rows, columns, {}};
    memory = std::make_unique<Array<uint8_t>>(w.packed.size() + 256 * cuda::kMaxFields);
    Arena arena(memory->data());
    const int64_t blocks = rows * columns / c.block_len;
    for (int f = 0; f < known.field_count; ++f) {
      matrix.field[f] = arena.take(blocks * known.field[f].bytes);
    }
    const std::vector<uint8_t> bytes(
        reinterpret_cast<const uint8_t*>(w.packed.data()),
        reinterpret_cast<const uint8_t*>(w.packed.data()) + w.packed.size());
    const Array<uint8_t> packed(bytes);
    if (known.is_float) {
      cudaMemcpy(memory->data(), packed.data(), bytes.size(), cudaMemcpyDeviceToDevice);
    } else {
      cuda::split_fields(stream, matrix, packed.data(), 0, blocks);
    }
    stream.note(cudaStreamSynchronize(stream.handle));
    stream.note(cudaDeviceSynchronize());
  }
};

int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

class GpuMatmul : public testing::TestWithParam<CodecId> {
 protected:
  void SetUp() override { PARE_NEEDS_GPU(); }

  // As kernels read activations with few tokens.
  static std::vector<float> as_int8(const std::vector<float>& x) {
    std::vector<float> rounded(x.size());
    for (size_t g = 0; g < x.size(); g += 32) {
      float most = 0.0f;
      for (size_t i = g; i < g + 32; ++i) most = std::max(most, std::abs(x[i]));
      for (size_t i = g; i < g + 32; ++i) {
        const float q = most > 0.0f ? std::nearbyint(x[i] * (127.0f / most)) : 0.0f;
        rounded[i] = q * (most / 127.0f);
      }
    }
    return rounded;
  }
  static std::vector<float> as_half(const std::vector<float>& x) {
    std::vector<float> rounded(x.size());
    for (size_t i = 0; i < x.size(); ++i) rounded[i] = fp16_to_float(float_to_fp16(x[i]));
    return rounded;
  }

  void expect_product(const std::vector<float>& found, int64_t stride, const std::vector<float>& w,
                      const std::vector<float>& x, const std::vector<float>& bias,
                      const std::vector<float>& residual, int64_t rows, int64_t columns,
                      int64_t tokens, double tolerance, const char* what) {
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t r = 0; r < rows; ++r) {
        double sum = 0, size = 1e-3;
        for (int64_t c = 0; c < columns; ++c) {
          const double p = double{w[static_cast<size_t>(r * columns + c)]} *
                           x[static_cast<size_t>(t * columns + c)];
          sum += p;
          size += std::abs(p);
        }
        sum += bias[static_cast<size_t>(r)] + residual[static_cast<size_t>(t * rows + r)];
        size += std::abs(bias[static_cast<size_t>(r)]) +
                std::abs(residual[static_cast<size_t>(t * rows + r)]);
        ASSERT_NEAR(found[static_cast<size_t>(t * stride + r)], sum, tolerance * size)
            << what << ": token " << t << " of " << tokens << ", row " << r << " of " << rows
            << ", " << columns << " columns";
      }
    }
  }
};

TEST_P(GpuMatmul, EqualsTheDefinition) {
  const Codec& c = codec(GetParam());
  const bool is_float = c.block_len == 1;
  gpu_test::TestStream device;
  cuda::Stream& stream = device.stream;
  const Array<uint8_t> book_memory(cuda::book_bytes());
  const cuda::Books books = cuda::upload_books(stream, book_memory.data());
  Rng rng(3);
  const std::vector<int64_t> widths =
      is_float ? std::vector<int64_t>{1, 7, 40, 264, 1000}
               : std::vector<int64_t>{c.block_len, 3 * c.block_len, round_up(1056, c.block_len)};
  for (const int64_t columns : widths) {
    for (const int64_t rows : {1, 7, 131}) {
      const Weights w = random_weights(c, rows, columns, rng);
      const DeviceMatrix m(c, w, rows, columns, stream);
      device.wait();
      const auto bias = codec_test::normal_row(rng, static_cast<size_t>(rows));
      const Array<float> bias_there(bias);
      for (const int64_t tokens : {1, 2, 3, 4, 5, 8, 9, 33, 64, 130}) {
        const auto x = codec_test::normal_row(rng, static_cast<size_t>(tokens * columns), 3.0);
        const auto residual = codec_test::normal_row(rng, static_cast<size_t>(tokens * rows));
        const Array<float> x_there(x), residual_there(residual);
        const int64_t stride = rows + 3;
        const int64_t half_stride = round_up(columns, 128);
        const Array<int8_t> q(static_cast<size_t>(tokens * round_up(columns, 32)));
        const Array<float> scale(static_cast<size_t>(tokens * columns + 32));
        const Array<int16_t> sum(static_cast<size_t>(tokens * columns + 32));
        const Array<uint16_t> half(static_cast<size_t>(tokens * half_stride));
        const Array<float> half_scale(static_cast<size_t>(tokens));
        cuda::Forms forms;
        if (columns % 32 == 0) forms.int8 = {q.data(), scale.data(), sum.data()};
        forms.half = {half.data(), half_stride, half_scale.data()};
        cuda::convert_rows(stream, {x_there.data(), columns}, tokens, columns, forms);
        const auto run = [&](const char* what, const std::vector<float>& rounded,
                             const std::vector<float>& weights, double tolerance,
                             const auto& launch) {
          const Array<float> y(static_cast<size_t>(tokens * stride));
          const cuda::Output out{
              {y.data(), stride}, bias_there.data(), {residual_there.data(), rows}};
          launch(cuda::Segment{m.matrix, out});
          device.wait();
          if (testing::Test::HasFatalFailure()) return;
          const auto found = y.read();
          expect_product(found, stride, weights, rounded, bias, residual, rows, columns, tokens,
                         tolerance, what);
          for (int64_t t = 0; t < tokens; ++t) {  // nothing else is written
            for (int64_t i = rows; i < stride; ++i) {
              ASSERT_TRUE(std::isnan(found[static_cast<size_t>(t * stride + i)])) << what;
            }
          }
        };
        if (tokens <= cuda::kFewTokens) {
          cuda::Forms few = forms;
          few.floats = {x_there.data(), columns};
          run("few tokens", is_float ? x : as_int8(x), w.values, 2e-5, [&](const cuda::Segment& s) {
            cuda::matvec(stream, {&s, 1}, few, static_cast<int>(tokens), cuda::Gate::kNone, books);
          });
        }
        if (HasFatalFailure()) return;
        if (!is_float && tokens == 1) {
          run("one token", as_int8(x), w.values, 2e-5, [&](const cuda::Segment& s) {
            cuda::matvec_one(stream, {&s, 1}, x_there.data(), {}, cuda::Gate::kNone, books);
          });
          const auto weight = codec_test::normal_row(rng, static_cast<size_t>(columns));
          const Array<float> weight_there(weight);
          double squares = 0;
          for (const float v : x) squares += double{v} * v;
          const auto factor =
              static_cast<float>(1.0 / std::sqrt(squares / static_cast<double>(columns) + 0.01));
          std::vector<float> normed(x.size());
          for (size_t i = 0; i < x.size(); ++i) normed[i] = x[i] * factor * weight[i];
          // A value between two bytes may be rounded to either: the sums of squares differ.
          run("one token, normed", as_int8(normed), w.values, 3e-3, [&](const cuda::Segment& s) {
            cuda::matvec_one(stream, {&s, 1}, x_there.data(), {weight_there.data(), 0.01f},
                             cuda::Gate::kNone, books);
          });
        }
        if (HasFatalFailure()) return;
        if (!is_float) {
          run("packed", as_half(x), as_half(w.values), 2e-4, [&](const cuda::Segment& s) {
            cuda::matmul_packed(stream, s, forms.half, tokens, books);
          });
        }
        if (HasFatalFailure()) return;
        if (is_float) {
          run("exact", x, w.values, 2e-5, [&](const cuda::Segment& s) {
            cuda::matmul_floats(stream, s, {x_there.data(), columns}, tokens);
          });
        }
        if (HasFatalFailure()) return;
        if (columns % 8 == 0 && c.id != CodecId::kF32) {
          const Array<uint16_t> unpacked(static_cast<size_t>(rows * columns));
          run("halves", as_half(x), as_half(w.values), 2e-4, [&](const cuda::Segment& s) {
            cuda::to_half(stream, s.matrix, unpacked.data(), books);
            cuda::matmul_half(stream, unpacked.data(), rows, columns, forms.half, tokens, s.out);
          });
        }
        if (HasFatalFailure()) return;
      }
      // Rows by index, and several matrices and a gate at once.
      const std::vector<int32_t> index = {static_cast<int32_t>(rows - 1), 0};
      const Array<int32_t> index_there(index);
      const Array<float> gathered(static_cast<size_t>(2 * columns));
      cuda::gather_rows(stream, m.matrix, index_there.data(), 2, 2.0f, {gathered.data(), columns},
                        books);
      device.wait();
      const auto values = gathered.read();
      for (size_t i = 0; i < values.size(); ++i) {
        const auto row = static_cast<size_t>(index[i / static_cast<size_t>(columns)]);
        const float want =
            2.0f * w.values[row * static_cast<size_t>(columns) + i % static_cast<size_t>(columns)];
        ASSERT_NEAR(values[i], want, 1e-5f * std::abs(want) + 1e-6f) << i;
      }
    }
  }
}

TEST_P(GpuMatmul, SeveralMatricesAndGates) {
  const Codec& c = codec(GetParam());
  const bool is_float = c.block_len == 1;
  gpu_test::TestStream device;
  cuda::Stream& stream = device.stream;
  const Array<uint8_t> book_memory(cuda::book_bytes());
  const cuda::Books books = cuda::upload_books(stream, book_memory.data());
  Rng rng(5);
  const int64_t columns = round_up(512, c.block_len);
  const int64_t rows[] = {37, 37, 5};
  std::vector<Weights> w;
  std::vector<DeviceMatrix> m;
  for (const int64_t n : rows) {
    w.push_back(random_weights(c, n, columns, rng));
    m.emplace_back(c, w.back(), n, columns, stream);
  }
  for (const int64_t tokens : {1, 3, 8}) {
    auto x = codec_test::normal_row(rng, static_cast<size_t>(tokens * columns), 0.01);
    const Array<float> x_there(x);
    const Array<int8_t> q(x.size());
    const Array<float> scale(x.size() / 32);
    const Array<int16_t> sum(x.size() / 16);
    cuda::Forms forms{{}, {q.data(), scale.data(), sum.data()}, {}};
    cuda::convert_rows(stream, {x_there.data(), columns}, tokens, columns, forms);
    forms.floats = {x_there.data(), columns};
    if (!is_float) x = as_int8(x);
    std::vector<Array<float>> y;
    std::vector<cuda::Segment> segments;
    for (size_t i = 0; i < 3; ++i) {
      y.emplace_back(static_cast<size_t>(tokens * rows[i]));
      segments.push_back({m[i].matrix, {{y[i].data(), rows[i]}, nullptr, {}}});
    }
    cuda::matvec(stream, segments, forms, static_cast<int>(tokens), cuda::Gate::kNone, books);
    device.wait();
    std::vector<std::vector<float>> found;
    for (size_t i = 0; i < 3; ++i) {
      found.push_back(y[i].read());
      const std::vector<float> none(static_cast<size_t>(tokens * rows[i]), 0.0f);
      expect_product(found[i], rows[i], w[i].values, x, none, none, rows[i], columns, tokens, 2e-5,
                     "one of three");
      if (HasFatalFailure()) return;
      if (tokens == 1 && !is_float) {
        // The same from the kernel for one token, all at once and in pairs.
        const Array<float> other(static_cast<size_t>(rows[i]));
        std::vector<cuda::Segment> again = segments;
        again[i].out.y = {other.data(), rows[i]};
        cuda::matvec_one(stream, again, x_there.data(), {}, cuda::Gate::kNone, books);
        device.wait();
        expect_product(other.read(), rows[i], w[i].values, x, none, none, rows[i], columns, 1, 2e-5,
                       "one of three, one token");
        if (HasFatalFailure()) return;
      }
    }
    segments.pop_back();
    cuda::matvec(stream, segments, forms, static_cast<int>(tokens), cuda::Gate::kSilu, books);
    device.wait();
    const auto expect_gated = [&](const std::vector<float>& gated) {
      for (size_t i = 0; i < gated.size(); ++i) {
        const double g = found[0][i];
        const double want = g / (1.0 + std::exp(-g)) * found[1][i];
        ASSERT_NEAR(gated[i], want, 1e-4 * std::abs(want) + 1e-4) << i;
      }
    };
    expect_gated(y[0].read());
    if (tokens == 1 && !is_float && !HasFatalFailure()) {
      const Array<float> other(static_cast<size_t>(rows[0]));
      segments[0].out.y = {other.data(), rows[0]};
      cuda::matvec_one(stream, segments, x_there.data(), {}, cuda::Gate::kSilu, books);
      device.wait();
      expect_gated(other.read());
    }
  }
}

std::vector<CodecId> device_codecs() {
  std::vector<CodecId> ids;
  for (const Codec& c : all_codecs()) {
    if (cuda::find_device_codec(c.id) != nullptr) ids.push_back(c.id);
  }
  return ids;
}
INSTANTIATE_TEST_SUITE_P(Codecs, GpuMatmul, testing::ValuesIn(device_codecs()),
                         [](const auto& id) { return std::string(codec(id.param).name); });

}  // namespace
}  // namespace pare
