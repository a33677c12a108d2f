// Finds the kernels of a codec; products of halves; what is not of one family.
#include <algorithm>

#include "kernels/cuda/family.h"
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/matvec_one.cuh"

namespace pare::cuda {
namespace {

struct Found {
  const Family* family = nullptr;
  const DeviceCodec* codec = nullptr;
  int index = -1;
};
Found find(CodecId id) {
  int index = 0;
  for (const Family* family :
       {&legacy_family(), &k_family(), &lattice_family(), &small_family(), &float_family()}) {
    for (const DeviceCodec& codec : family->codecs) {
      if (codec.id == id) return {family, &codec, index};
    }
    ++index;
  }
  return {};
}

struct SplitArgs {
  uint8_t* field[kMaxFields];
  int begin[kMaxFields], bytes[kMaxFields];
  int fields, block_bytes;
  const uint8_t* packed;
  int64_t first, blocks;
};
__global__ void split_kernel(const __grid_constant__ SplitArgs a) {
  const int64_t total = a.blocks * a.block_bytes;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < total;
       i += int64_t{gridDim.x} * blockDim.x) {
    const int64_t block = i / a.block_bytes;
    const int at = static_cast<int>(i % a.block_bytes);
    int f = 0;
    while (at >= a.begin[f] + a.bytes[f]) ++f;
    a.field[f][(a.first + block) * a.bytes[f] + at - a.begin[f]] = a.packed[i];
  }
}

// 128 tokens by 128 rows, 32 columns at a time in four stages.
constexpr int kGemmTokens = 128, kGemmRows = 128, kGemmDepth = 32, kStages = 4, kThreads = 256;
constexpr int kGemmStride = kGemmDepth + 8;
constexpr int kStage = (kGemmTokens + kGemmRows) * kGemmStride;
constexpr int kGemmShared = kStages * kStage * 2;

struct GemmArgs {
  const uint16_t* weight;
  int64_t rows, columns, tokens;
  HalfRows x;
  Output out;
};
__global__ void __launch_bounds__(kThreads) gemm_kernel(const __grid_constant__ GemmArgs a) {
  extern __shared__ __align__(16) __half shared[];
  wait_for_inputs();
  const int64_t first_token = int64_t{blockIdx.x} * kGemmTokens;
  const int64_t first_row = int64_t{blockIdx.y} * kGemmRows;
  const int steps = static_cast<int>((a.columns + kGemmDepth - 1) / kGemmDepth);
  const auto copy = [&](int step) {
    __half* x = shared + step % kStages * kStage;
    __half* w = x + kGemmTokens * kGemmStride;
    constexpr int kPieces = kGemmDepth / 8;
#pragma unroll
    for (int i = 0; i < kGemmTokens * kPieces / kThreads; ++i) {
      const int job = threadIdx.x + i * kThreads, line = job / kPieces, c = job % kPieces * 8;
      const int64_t column = int64_t{step} * kGemmDepth + c;
      const bool inside = column < a.columns;
      const bool token = inside && first_token + line < a.tokens;
      const bool row = inside && first_row + line < a.rows;
      copy_async(x + line * kGemmStride + c,
                 a.x.data + (token ? (first_token + line) * a.x.stride + column : 0), token);
      copy_async(w + line * kGemmStride + c,
                 a.weight + (row ? (first_row + line) * a.columns + column : 0), row);
    }
  };
#pragma unroll
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < steps) copy(s);
    commit_copies();
  }
  float sum[4][4][4] = {};
  const int warp = threadIdx.x / 32, token = warp % 2 * 64, row = warp / 2 * 32;
  for (int step = 0; step < steps; ++step) {
    wait_copies<kStages - 2>();
    __syncthreads();
    if (step + kStages - 1 < steps) copy(step + kStages - 1);
    commit_copies();
    const __half* x = shared + step % kStages * kStage;
    multiply_tile<4, 2, kGemmStride, kGemmDepth>(x, x + kGemmTokens * kGemmStride, token, row, sum);
  }
  put_tile<4, 2>(a.out, a.x.scale, first_token + token, first_row + row, a.tokens, a.rows, sum);
}

struct FinishArgs {
  FloatRows product;
  const float* scale;
  int64_t rows;
  Output out;
};
__global__ void finish_kernel(const __grid_constant__ FinishArgs a) {
  wait_for_inputs();
  const int64_t t = blockIdx.x;
  const bool changes = a.out.bias != nullptr || a.out.residual.data != nullptr ||
                       a.product.data != a.out.y.data || a.scale[t] != 1.0f;
  if (!changes) return;
  const int64_t r = int64_t{blockIdx.y} * blockDim.x + threadIdx.x;
  if (r < a.rows) put(a.out, a.scale, t, r, a.product.data[t * a.product.stride + r]);
}

}  // namespace

const DeviceCodec* find_device_codec(CodecId id) { return find(id).codec; }
int family_of(CodecId id) { return find(id).index; }

bool kernels_can_overlap(int major) {
  // Code made for older devices does not wait for the kernel before it.
  cudaFuncAttributes attributes{};
  return major >= 9 && cudaFuncGetAttributes(&attributes, gemm_kernel) == cudaSuccess &&
         attributes.ptxVersion >= 90;
}

void split_fields(Stream& stream, const Matrix& matrix, const uint8_t* packed, int64_t first_block,
                  int64_t blocks) {
  const DeviceCodec& codec = *find(matrix.codec).codec;
  SplitArgs a{};
  for (int f = 0; f < codec.field_count; ++f) {
    a.field[f] = const_cast<uint8_t*>(matrix.field[f]);
    a.begin[f] = codec.field[f].begin;
    a.bytes[f] = codec.field[f].bytes;
    a.block_bytes += a.bytes[f];
  }
  a.fields = codec.field_count;
  a.packed = packed;
  a.first = first_block;
  a.blocks = blocks;
  Stream plain = stream;
  plain.overlap = false;  // it does not wait
  launch(plain, split_kernel, grid_of(8 * stream.processors), 256, 0, a);
  stream.note(plain.error);
}

void matvec(Stream& stream, std::span<const Segment> segments, const Forms& x, int tokens,
            Gate gate, const Books& books) {
  MatvecArgs a{};
  for (size_t s = 0; s < segments.size(); ++s) a.segment[s] = segments[s];
  a.segments = static_cast<int>(segments.size());
  a.columns = static_cast<int>(segments[0].matrix.columns);
  a.tokens = tokens;
  a.x = x.int8;
  a.floats = x.floats;
  a.aligned = a.columns % 8 == 0 && x.floats.stride % 4 == 0 &&
              reinterpret_cast<uintptr_t>(x.floats.data) % 16 == 0;
  a.gate = gate;
  a.books = books;
  find(segments[0].matrix.codec).family->matvec(stream, a);
}

bool takes_one(const Stream& stream, const Matrix& matrix) {
  const bool floats = find(matrix.codec).codec->is_float;
  // Float weights need the copy engine, and rows that it can copy.
  if (floats && (!stream.overlap || matrix.columns % 8 != 0)) return false;
  // The input and, with the copy engine, one stage of the warps' rings are in shared memory.
  const int64_t input = matrix.columns * (floats ? 8 : 3) / 2;
  return input + (stream.overlap ? 76 << 10 : 0) <= std::min(stream.shared_memory, 228 << 10);
}

void matvec_one(Stream& stream, std::span<const Segment> segments, const float* x,
                const NormWeight& norm, Gate gate, const Books& books) {
  OneArgs a{};
  for (size_t s = 0; s < segments.size(); ++s) a.segment[s] = segments[s];
  a.segments = static_cast<int>(segments.size());
  a.columns = static_cast<int>(segments[0].matrix.columns);
  a.x = x;
  a.norm = norm;
  a.gate = gate;
  a.books = books;
  const Family& family = *find(segments[0].matrix.codec).family;
  (stream.overlap ? family.matvec_stream : family.matvec_one)(stream, a);
}

void matmul_packed(Stream& stream, const Segment& segment, const HalfRows& x, int64_t tokens,
                   const Books& books) {
  find(segment.matrix.codec).family->matmul(stream, {segment, x, tokens, books});
}

void matmul_half(Stream& stream, const uint16_t* weight, int64_t rows, int64_t columns,
                 const HalfRows& x, int64_t tokens, const Output& out) {
  const GemmArgs a{weight, rows, columns, tokens, x, out};
  launch(stream, gemm_kernel, grid_of(blocks_for(tokens, kGemmTokens), blocks_for(rows, kGemmRows)),
         kThreads, kGemmShared, a);
}

void finish_product(Stream& stream, const FloatRows& product, const float* scale, int64_t tokens,
                    int64_t rows, const Output& out) {
  launch(stream, finish_kernel, grid_of(tokens, blocks_for(rows, 1024)), 1024, 0,
         FinishArgs{product, scale, rows, out});
}

void to_half(Stream& stream, const Matrix& matrix, uint16_t* out, const Books& books) {
  UnpackArgs a;
  a.matrix = matrix;
  a.count = matrix.rows;
  a.half = out;
  a.books = books;
  find(matrix.codec).family->unpack(stream, a);
}

void gather_rows(Stream& stream, const Matrix& matrix, const int32_t* index, int64_t count,
                 float factor, const FloatRows& out, const Books& books) {
  UnpackArgs a;
  a.matrix = matrix;
  a.index = index;
  a.count = count;
  a.floats = out;
  a.factor = factor;
  a.books = books;
  find(matrix.codec).family->unpack(stream, a);
}

}  // namespace pare::cuda
