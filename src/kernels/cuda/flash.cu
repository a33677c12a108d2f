// Attention on tensor cores for many tokens (Dao, "FlashAttention-2", 2023): 64 queries that share
// a head of keys, a warp for 16 of them; keys and values as halves in shared memory, the next tile
// on its way while one is worked on.
#include "kernels/cuda/kv_load.cuh"
#include "kernels/cuda/mma.cuh"

namespace pare::cuda {
namespace {

constexpr int kQueries = 64, kThreads = 128;

struct Args {
  AttentionInput in;
  KvLayer layer;
  const int32_t* position;
  FloatRows out;
  int queries;
};

// Keys (or values) [begin, begin + kKeys) to shared memory; rows beyond `end` become zeros.
template <int kDim, int kKeys>
__device__ __forceinline__ void fetch(const KvSide& side, int64_t head_row, int64_t begin,
                                      int64_t end, __half* to) {
  constexpr int kStride = kDim + 8, kPieces = kDim / 8;
  for (int job = threadIdx.x; job < kKeys * kPieces; job += kThreads) {
    const int key = job / kPieces, c = job % kPieces * 8;
    const bool inside = begin + key < end;
    const int64_t row = head_row + (inside ? begin + key : 0);
    __half* place = to + key * kStride + c;
    if (side.form == CodecId::kF16) {
      copy_async(place, side.data + (row * kDim + c) * 2, inside);
      continue;
    }
    uint4 packed = make_uint4(0, 0, 0, 0);
    if (inside) {
      const float4 a = load_columns(side, row, c), b = load_columns(side, row, c + 4);
      packed = make_uint4(pack_halves(a.x, a.y), pack_halves(a.z, a.w), pack_halves(b.x, b.y),
                          pack_halves(b.z, b.w));
    }
    *reinterpret_cast<uint4*>(place) = packed;
  }
}

template <int kDim, int kKeys>
__global__ void __launch_bounds__(kThreads) flash_kernel(const __grid_constant__ Args a) {
  extern __shared__ __align__(16) __half memory[];
  constexpr int kStride = kDim + 8, kSide = kKeys * kStride;
  __half* q = memory;                      // [kQueries][kStride]
  __half* tiles = q + kQueries * kStride;  // two of keys, then two of values
  wait_for_inputs();
  const AttentionInput& in = a.in;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int group = in.heads / a.layer.kv_heads, kv_head = blockIdx.y;
  // Later tokens see more keys: the longest first.
  const int first_query = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kQueries;
  const int64_t position = *a.position, head_row = kv_head * a.layer.capacity;
  const int64_t first = position + first_query / group;
  const int64_t last = position + min(first_query + kQueries - 1, a.queries - 1) / group;
  const int64_t end = last + 1;
  int64_t begin = in.window > 0 ? max(int64_t{0}, first + 1 - in.window) : 0;
  begin = begin / kKeys * kKeys;
  const KvSide keys = keys_of(a.layer), values = values_of(a.layer);
  const auto start = [&](int64_t from, int stage) {
    fetch<kDim, kKeys>(keys, head_row, from, end, tiles + stage * kSide);
    fetch<kDim, kKeys>(values, head_row, from, end, tiles + (2 + stage) * kSide);
    commit_copies();
  };
  start(begin, 0);
  for (int i = 2 * threadIdx.x; i < kQueries * kDim; i += 2 * kThreads) {
    const int r = first_query + i / kDim, c = i % kDim;
    uint32_t pair = 0;
    if (r < a.queries) {
      const float* x = in.q.data + r / group * in.q.stride +
                       static_cast<int64_t>(kv_head * group + r % group) * kDim + c;
      pair = pack_halves(x[0], x[1]);
    }
    *reinterpret_cast<uint32_t*>(q + i / kDim * kStride + c) = pair;
  }
  // Lane l has rows l / 4 and l / 4 + 8 of the warp's 16.
  float mixed[kDim / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  int64_t at[2];
  for (int i = 0; i < 2; ++i) {
    at[i] = position + (first_query + warp * 16 + lane / 4 + 8 * i) / group;
  }
  const __half* q_row = q + (warp * 16 + lane % 16) * kStride + lane / 16 * 8;
  int stage = 0;
  for (int64_t key = begin; key < end; key += kKeys, stage ^= 1) {
    wait_copies<0>();
    __syncthreads();
    if (key + kKeys < end) start(key + kKeys, stage ^ 1);
    const __half* k_tile = tiles + stage * kSide;
    const __half* v_tile = tiles + (2 + stage) * kSide;
    float score[kKeys / 8][4] = {};
#pragma unroll
    for (int c = 0; c < kDim; c += 16) {
      uint32_t x[4];
      load_matrices(x, q_row + c);
#pragma unroll
      for (int n = 0; n < kKeys / 16; ++n) {
        uint32_t k[4];
        load_matrices(
            k, k_tile + (n * 16 + lane % 8 + lane / 16 * 8) * kStride + c + lane / 8 % 2 * 8);
        mma(score[2 * n], x, k[0], k[1]);
        mma(score[2 * n + 1], x, k[2], k[3]);
      }
    }
    const bool whole = key + kKeys <= first + 1 && in.window <= 0;  // all seen by all
    float highest[2] = {top[0], top[1]};
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float s = score[n][i] * in.scale;
        if (in.softcap != 0.0f) s = in.softcap * tanhf(s / in.softcap);
        const int64_t k = key + n * 8 + lane % 4 * 2 + i % 2, t = at[i / 2];
        if (!whole && (k > t || (in.window > 0 && k <= t - in.window))) s = -INFINITY;
        score[n][i] = s;
        highest[i / 2] = fmaxf(highest[i / 2], s);
      }
    }
    float factor[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      highest[i] = fmaxf(highest[i], __shfl_xor_sync(0xffffffffu, highest[i], 1));
      highest[i] = fmaxf(highest[i], __shfl_xor_sync(0xffffffffu, highest[i], 2));
      factor[i] = highest[i] == -INFINITY ? 1.0f : __expf(top[i] - highest[i]);
      top[i] = highest[i];
      sum[i] *= factor[i];
    }
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float w = top[i / 2] == -INFINITY ? 0.0f : __expf(score[n][i] - top[i / 2]);
        score[n][i] = w;
        sum[i / 2] += w;
      }
    }
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) mixed[n][i] *= factor[i / 2];
    }
#pragma unroll
    for (int k = 0; k < kKeys / 16; ++k) {
      const uint32_t p[4] = {pack_halves(score[2 * k][0], score[2 * k][1]),
                             pack_halves(score[2 * k][2], score[2 * k][3]),
                             pack_halves(score[2 * k + 1][0], score[2 * k + 1][1]),
                             pack_halves(score[2 * k + 1][2], score[2 * k + 1][3])};
#pragma unroll
      for (int n = 0; n < kDim / 16; ++n) {
        uint32_t v[4];
        load_matrices_turned(v, v_tile + (k * 16 + lane % 16) * kStride + n * 16 + lane / 16 * 8);
        mma(mixed[2 * n], p, v[0], v[1]);
        mma(mixed[2 * n + 1], p, v[2], v[3]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 1);
    sum[i] += __shfl_xor_sync(0xffffffffu, sum[i], 2);
    const int r = first_query + warp * 16 + lane / 4 + 8 * i;
    if (r >= a.queries) continue;
    float* out = a.out.data + r / group * a.out.stride +
                 static_cast<int64_t>(kv_head * group + r % group) * kDim + lane % 4 * 2;
    const float inverse = 1.0f / sum[i];
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      out[n * 8] = mixed[n][2 * i] * inverse;
      out[n * 8 + 1] = mixed[n][2 * i + 1] * inverse;
    }
  }
}

template <int kDim, int kKeys>
void run(Stream& stream, const Args& a) {
  constexpr size_t kShared = sizeof(__half) * (kDim + 8) * (kQueries + 4 * kKeys);
  launch(stream, flash_kernel<kDim, kKeys>,
         grid_of(blocks_for(a.queries, kQueries), a.layer.kv_heads), kThreads, kShared, a);
}

}  // namespace

bool has_flash_attention(const AttentionInput& in, const KvLayer& layer) {
  const int d = in.head_dim;
  return layer.form != CodecId::kF32 && d == in.value_dim &&
         (d == 64 || d == 96 || d == 128 || d == 256);
}

void flash_attention(Stream& stream, const AttentionInput& in, const KvLayer& layer,
                     const int32_t* position, const FloatRows& out) {
  Args a{in, layer, position, out, 0};
  a.queries = static_cast<int>(in.tokens * (in.heads / layer.kv_heads));
  switch (in.head_dim) {
    case 64:
      return run<64, 64>(stream, a);
    case 96:
      return run<96, 64>(stream, a);
    case 128:
      return run<128, 64>(stream, a);
    default:
      return run<256, 16>(stream, a);
  }
}

}  // namespace pare::cuda
