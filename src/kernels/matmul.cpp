#include "kernels/matmul.h"

#include <algorithm>
#include <vector>

#include "codecs/codec.h"

namespace pare {

Status check_matmul(const PackedTensor& weight) {
  const Codec& c = codec(weight.codec);
  if (c.grid == nullptr && !c.is_float()) {
    return unsupported("no kernel multiplies weights of type {}", c.name);
  }
  if (!c.divides(weight.shape.columns())) {
    return invalid_argument("rows of {} columns are not whole blocks of {} ({})",
                            weight.shape.columns(), c.block_len, c.name);
  }
  if (const uint64_t expected = c.tensor_bytes(weight.shape); weight.bytes.size() != expected) {
    return invalid_argument("{} weight of shape {} has {} bytes, expected {}", c.name,
                            weight.shape.to_string(), weight.bytes.size(), expected);
  }
  return {};
}

void matmul(const PackedTensor& weight, Activations& x, const float* bias, float* y,
            int64_t y_stride, ThreadPool& pool) {
  constexpr int64_t kPiece = 16;
  const Codec& c = codec(weight.codec);
  const int64_t rows = weight.shape.rows(), columns = x.columns();
  PARE_CHECK(weight.shape.columns() == columns, "weight and activations differ in columns");
  pool.parallel_for(static_cast<size_t>((rows + kPiece - 1) / kPiece), [&](size_t piece) {
    std::vector<float> row(static_cast<size_t>(columns));
    const int64_t begin = static_cast<int64_t>(piece) * kPiece;
    for (int64_t r = begin; r < std::min(rows, begin + kPiece); ++r) {
      c.decode_row(weight.row_bytes(r, 1).data(), row.data(), columns);
      for (int64_t t = 0; t < x.tokens(); ++t) {
        const float* values = x.row(t);
        float sum = 0.0f;
        for (int64_t i = 0; i < columns; ++i) sum += row[static_cast<size_t>(i)] * values[i];
        y[t * y_stride + r] = sum + (bias == nullptr ? 0.0f : bias[r]);
      }
    }
  });
}

}  // namespace pare
