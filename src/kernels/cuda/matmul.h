// Products with packed matrices on the device. The codecs are those of units.h, and F32, F16, BF16.
#pragma once

#include <span>

#include "kernels/cuda/device.h"

namespace pare::cuda {

// Tokens that matvec() takes at once.
inline constexpr int kFewTokens = 8;

// How a codec lies on the device; null: the device does not multiply with it.
struct DeviceCodec {
  CodecId id;
  bool is_float;
  int block_len, field_count;
  Field field[kMaxFields];
};
const DeviceCodec* find_device_codec(CodecId id);
// Matrices of one family can be multiplied by one call of matvec().
int family_of(CodecId id);

// Whether this build's code for a device of that capability lets kernels overlap.
bool kernels_can_overlap(int major);

// Copies the codebooks of the I types to `memory`, book_bytes() of them, and returns where they
// lie. Ordered on the stream.
uint64_t book_bytes();
Books upload_books(Stream& stream, uint8_t* memory);

// Takes blocks apart into their fields: `packed` holds `blocks` blocks as in the file; field f of
// block i goes to matrix.field[f] + (first_block + i) * bytes of f.
void split_fields(Stream& stream, const Matrix& matrix, const uint8_t* packed, int64_t first_block,
                  int64_t blocks);

// Few tokens (1 .. kFewTokens) with up to kMaxSegments matrices of one family and of the same
// number of columns.
// Float weights read `floats`, the others `int8` of the input. A gate takes exactly two matrices
// of one codec and as many rows: y of the first = gate(first) * second; there is no residual then.
inline constexpr int kMaxSegments = 4;
struct Segment {
  Matrix matrix;
  Output out;
};
void matvec(Stream& stream, std::span<const Segment> segments, const Forms& x, int tokens,
            Gate gate, const Books& books);

// The same for one token, from the floats of its input alone, or with `norm` from what the RMS norm
// makes of them; it is rounded in the kernel. takes_one(): whether the matrices can be multiplied
// so.
bool takes_one(const Stream& stream, const Matrix& matrix);
struct NormWeight {
  const float* weight = nullptr;  // null: no norm
  float epsilon = 0.0f;
};
void matvec_one(Stream& stream, std::span<const Segment> segments, const float* x,
                const NormWeight& norm, Gate gate, const Books& books);

// Any number of tokens, unpacked in the kernel: quantized weights and `half` of the input; each
// row of `half` has at least `columns` rounded up to 128, of which those beyond are 0.
void matmul_packed(Stream& stream, const Segment& segment, const HalfRows& x, int64_t tokens,
                   const Books& books);

// f16 weights, row after row, columns a multiple of 8.
void matmul_half(Stream& stream, const uint16_t* weight, int64_t rows, int64_t columns,
                 const HalfRows& x, int64_t tokens, const Output& out);

// Float weights of any kind and shape with float activations, exactly: F32 matrices.
void matmul_floats(Stream& stream, const Segment& segment, const FloatRows& x, int64_t tokens);

// y = product * scale[t] + bias[r] + residual: what a library's product leaves to be done. y may
// be the product.
void finish_product(Stream& stream, const FloatRows& product, const float* scale, int64_t tokens,
                    int64_t rows, const Output& out);

// Rows of a matrix as f16, one after the other.
void to_half(Stream& stream, const Matrix& matrix, uint16_t* out, const Books& books);
// Row index[i] as floats * factor to out row i, for i < count.
void gather_rows(Stream& stream, const Matrix& matrix, const int32_t* index, int64_t count,
                 float factor, const FloatRows& out, const Books& books);

}  // namespace pare::cuda
