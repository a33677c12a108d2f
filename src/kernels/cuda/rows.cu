#include "kernels/cuda/emit.cuh"
#include "kernels/cuda/rows.h"

namespace pare::cuda {
namespace {

// Writes value(c), 0 <= c < width, of row `t` in all forms that are wanted. By all threads of a
// block, whole warps; `shared` as in block_reduce.
template <typename Value>
__device__ void emit(const Forms& out, int64_t t, int64_t width, float* shared,
                     const Value& value) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  float half_scale = 1.0f, inverse = 1.0f;
  if (out.half.data != nullptr) {
    float most = 0.0f;
    for (int64_t c = threadIdx.x; c < width; c += blockDim.x) most = fmaxf(most, fabsf(value(c)));
    most = block_reduce<true>(most, shared);
    // A power of two, so that no value is rounded more than f16 itself rounds.
    if (most > 16384.0f && most < INFINITY) {
      const int exponent = ilogbf(most) - 13;
      half_scale = ldexpf(1.0f, exponent);
      inverse = ldexpf(1.0f, -exponent);
    }
    if (threadIdx.x == 0) out.half.scale[t] = half_scale;
    for (int64_t c = width + threadIdx.x; c < out.half.stride; c += blockDim.x) {
      out.half.data[t * out.half.stride + c] = 0;
    }
  }
  for (int64_t begin = int64_t{warp} * 32; begin < width; begin += int64_t{warps} * 32) {
    const int64_t c = begin + lane;
    const bool inside = c < width;
    const float v = inside ? value(c) : 0.0f;
    if (out.floats.data != nullptr && inside) out.floats.data[t * out.floats.stride + c] = v;
    if (out.half.data != nullptr && inside) {
      reinterpret_cast<__half*>(out.half.data)[t * out.half.stride + c] =
          __float2half_rn(v * inverse);
    }
    if (out.int8.q != nullptr) emit_int8(out.int8, t * width + c, v);  // whole warps
  }
}

struct ConvertArgs {
  FloatRows x;
  int64_t width;
  Forms out;
};
__global__ void convert_kernel(const __grid_constant__ ConvertArgs a) {
  __shared__ float shared[33];
  wait_for_inputs();
  const int64_t t = blockIdx.x;
  const float* x = a.x.data + t * a.x.stride;
  emit(a.out, t, a.width, shared, [&](int64_t c) { return x[c]; });
}

struct NormArgs {
  FloatRows x;
  int64_t width;
  const float *weight, *bias;
  float epsilon;
  bool centred;
  Forms out;
};
__global__ void __launch_bounds__(1024) norm_kernel(const __grid_constant__ NormArgs a) {
  __shared__ float shared[33];
  wait_for_inputs();
  const int64_t t = blockIdx.x;
  const float* x = a.x.data + t * a.x.stride;
  const auto n = static_cast<float>(a.width);
  float mean = 0.0f;
  if (a.centred) {
    float sum = 0.0f;
    for (int64_t c = threadIdx.x; c < a.width; c += blockDim.x) sum += x[c];
    mean = block_reduce<false>(sum, shared) / n;
  }
  float squares = 0.0f;
  for (int64_t c = threadIdx.x; c < a.width; c += blockDim.x)
    squares += (x[c] - mean) * (x[c] - mean);
  const float factor = 1.0f / sqrtf(block_reduce<false>(squares, shared) / n + a.epsilon);
  emit(a.out, t, a.width, shared, [&](int64_t c) {
    const float v = (x[c] - mean) * factor * a.weight[c];
    return a.bias != nullptr ? v + a.bias[c] : v;
  });
}

struct SliceArgs {
  FloatRows x;
  int64_t width, slice;
  const float* weight;
  float epsilon;
  FloatRows out;
};
// A warp for each slice.
__global__ void slice_kernel(const __grid_constant__ SliceArgs a) {
  wait_for_inputs();
  const int lane = threadIdx.x % 32;
  const int64_t t = blockIdx.x;
  const int64_t begin = (int64_t{blockIdx.y} * (blockDim.x / 32) + threadIdx.x / 32) * a.slice;
  if (begin >= a.width) return;
  const float* x = a.x.data + t * a.x.stride + begin;
  float* out = a.out.data + t * a.out.stride + begin;
  float squares = 0.0f;
  for (int64_t c = lane; c < a.slice; c += 32) squares += x[c] * x[c];
  const float factor = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(a.slice) + a.epsilon);
  for (int64_t c = lane; c < a.slice; c += 32) out[c] = x[c] * factor * a.weight[c];
}

struct GateArgs {
  Gate kind;
  FloatRows x, y;
  int64_t width;
  Forms out;
};
__global__ void gate_kernel(const __grid_constant__ GateArgs a) {
  __shared__ float shared[33];
  wait_for_inputs();
  const int64_t t = blockIdx.x;
  const float* x = a.x.data + t * a.x.stride;
  const float* y = a.y.data != nullptr ? a.y.data + t * a.y.stride : nullptr;
  emit(a.out, t, a.width, shared, [&](int64_t c) {
    const float v = gate(a.kind, x[c]);
    return y != nullptr ? v * y[c] : v;
  });
}

struct PointArgs {
  Pointwise kind;
  FloatRows x, y;
  float factor;
  int64_t width;
  FloatRows out;
};
__global__ void point_kernel(const __grid_constant__ PointArgs a) {
  wait_for_inputs();
  const int64_t t = blockIdx.x, c = int64_t{blockIdx.y} * blockDim.x + threadIdx.x;
  if (c >= a.width) return;
  const float x = a.x.data[t * a.x.stride + c];
  float* out = a.out.data + t * a.out.stride + c;
  switch (a.kind) {
    case Pointwise::kAdd:
      *out = x + a.y.data[t * a.y.stride + c];
      break;
    case Pointwise::kMultiply:
      *out = x * a.y.data[t * a.y.stride + c];
      break;
    case Pointwise::kScale:
      *out = x * a.factor;
      break;
    case Pointwise::kSoftcap:
      *out = a.factor * tanhf(x / a.factor);
      break;
  }
}

__global__ void count_kernel(const int32_t* position, int64_t tokens, int32_t* index) {
  wait_for_inputs();
  const int64_t t = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (t < tokens) index[t] = *position + static_cast<int32_t>(t);
}

__global__ void turns_kernel(const double* frequency, int pairs, float factor, int64_t positions,
                             float2* table) {
  wait_for_inputs();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= positions * pairs) return;
  double sine, cosine;
  sincos(static_cast<double>(i / pairs) * frequency[i % pairs], &sine, &cosine);
  table[i] = make_float2(static_cast<float>(cosine) * factor, static_cast<float>(sine) * factor);
}

struct RopeArgs {
  FloatRows x;
  int heads, head_dim;
  Turns turns;
  const int32_t* position;
  FloatRows out;
};
// A thread for two columns that turn together, or for two that do not turn.
__global__ void rope_kernel(const __grid_constant__ RopeArgs a) {
  wait_for_inputs();
  const int64_t t = blockIdx.x;
  const int each = (a.head_dim + 1) / 2, pairs = a.turns.pairs;
  const auto* turn = reinterpret_cast<const float2*>(a.turns.table) + (*a.position + t) * pairs;
  for (int i = threadIdx.x; i < a.heads * each; i += blockDim.x) {
    const int pair = i % each, head = i / each * a.head_dim;
    const float* x = a.x.data + t * a.x.stride + head;
    float* out = a.out.data + t * a.out.stride + head;
    if (pair >= pairs) {
      for (int c = 2 * pair; c < min(2 * pair + 2, a.head_dim); ++c) out[c] = x[c];
      continue;
    }
    const int c0 = a.turns.halves ? pair : 2 * pair, c1 = a.turns.halves ? pair + pairs : c0 + 1;
    const float x0 = x[c0], x1 = x[c1];
    out[c0] = x0 * turn[pair].x - x1 * turn[pair].y;
    out[c1] = x0 * turn[pair].y + x1 * turn[pair].x;
  }
}

int threads_for(int64_t width) { return width >= 1024 ? 1024 : width >= 256 ? 256 : 64; }

}  // namespace

void convert_rows(Stream& stream, const FloatRows& x, int64_t tokens, int64_t width,
                  const Forms& out) {
  launch(stream, convert_kernel, grid_of(tokens), tokens > 64 ? 256 : threads_for(width), 0,
         ConvertArgs{x, width, out});
}

void norm_rows(Stream& stream, const FloatRows& x, int64_t tokens, int64_t width,
               const float* weight, const float* bias, float epsilon, bool centred,
               const Forms& out) {
  launch(stream, norm_kernel, grid_of(tokens), tokens > 64 ? 256 : threads_for(width), 0,
         NormArgs{x, width, weight, bias, epsilon, centred, out});
}

void norm_slices(Stream& stream, const FloatRows& x, int64_t tokens, int64_t width, int64_t slice,
                 const float* weight, float epsilon, const FloatRows& out) {
  launch(stream, slice_kernel, grid_of(tokens, blocks_for(width / slice, 4)), 128, 0,
         SliceArgs{x, width, slice, weight, epsilon, out});
}

void gate_rows(Stream& stream, Gate kind, const FloatRows& x, const FloatRows& y, int64_t tokens,
               int64_t width, const Forms& out) {
  launch(stream, gate_kernel, grid_of(tokens), tokens > 64 ? 512 : threads_for(width), 0,
         GateArgs{kind, x, y, width, out});
}

void pointwise(Stream& stream, Pointwise kind, const FloatRows& x, const FloatRows& y, float factor,
               int64_t tokens, int64_t width, const FloatRows& out) {
  launch(stream, point_kernel, grid_of(tokens, blocks_for(width, 256)), 256, 0,
         PointArgs{kind, x, y, factor, width, out});
}

void count_positions(Stream& stream, const int32_t* position, int64_t tokens, int32_t* index) {
  launch(stream, count_kernel, grid_of(blocks_for(tokens, 256)), 256, 0, position, tokens, index);
}

void make_turns(Stream& stream, const double* frequency, int pairs, float factor, int64_t positions,
                float* table) {
  if (pairs == 0) return;
  launch(stream, turns_kernel, grid_of(blocks_for(positions * pairs, 256)), 256, 0, frequency,
         pairs, factor, positions, reinterpret_cast<float2*>(table));
}

void rope_rows(Stream& stream, const FloatRows& x, int64_t tokens, int heads, int head_dim,
               const Turns& turns, const int32_t* position, const FloatRows& out) {
  launch(stream, rope_kernel, grid_of(tokens), 256, 0,
         RopeArgs{x, heads, head_dim, turns, position, out});
}

}  // namespace pare::cuda
