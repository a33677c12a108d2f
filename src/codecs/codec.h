// A codec: one number format, with its three faces.
//
//   layout  name, block length and bytes, ids: exact sizes without touching a weight
//   grid    fit parameters to a span of columns, round a unit of columns, pack and unpack:
//           what an error-compensating solver (GPTQ) steps through
//   row     encode and decode whole rows: round-to-nearest, readers, tests
//
// All codecs stand in one table (table.cpp); adding one is a pair of files and a line there.
// Every function is pure and thread safe. Kernels cannot fail: sizes are the caller's duty.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tensor/codec_id.h"
#include "tensor/shape.h"

namespace pare {

// The parameters of one fit span, unpacked. Each codec says which fields it uses. `scale` and
// `offset` are what the runtime multiplies with: value = scale[g] * level(code) + offset[g]
// for scalar grids, where g = column / group_len. The integers are what pack() stores.
struct SpanParams {
  static constexpr int kMaxGroups = 32;
  float d = 0.0f;     // super-scale as stored (already rounded to its stored form)
  float dmin = 0.0f;  // super-offset as stored
  std::array<int16_t, kMaxGroups> scale_code{};
  std::array<int16_t, kMaxGroups> offset_code{};
  std::array<float, kMaxGroups> scale{};
  std::array<float, kMaxGroups> offset{};
};

// One grid. A unit's code is an integer: the level for scalar grids; grid index, signs and
// the like packed together for lattice types (each codec documents its packing).
class Grid {
 public:
  virtual ~Grid() = default;
  virtual int fit_span() const = 0;    // columns whose parameters are fitted together
  virtual int group_len() const = 0;   // columns that share one scale[g]
  virtual int round_unit() const = 0;  // columns that are rounded together (1, 4 or 8)

  // Fits parameters to x[0, fit_span). importance: per column, null for all ones; the fit
  // minimises sum importance * error^2 as well as the codec's search knows how.
  virtual void fit(const float* x, const float* importance, SpanParams* params) const = 0;
  // Rounds the unit that starts at `column` (a multiple of round_unit): returns its code and
  // writes the round_unit values that the code stands for.
  virtual int32_t round(const SpanParams& params, int column, const float* x,
                        const float* importance, float* values) const = 0;
  // The values a code stands for (what decode_row gives), exactly.
  virtual void values(const SpanParams& params, int column, int32_t code, float* out) const = 0;
  // Exact inverses: fit_span / round_unit codes and the parameters <-> the codec's bytes.
  virtual void pack(const SpanParams& params, const int32_t* codes, std::byte* out) const = 0;
  virtual void unpack(const std::byte* in, SpanParams* params, int32_t* codes) const = 0;
};

struct Codec {
  CodecId id;
  const char* name;  // as the field writes it: "Q4_K"
  int block_len;     // columns per block; rows must be a multiple
  int block_bytes;
  int gguf_type;                    // ggml type id, -1: GGUF cannot hold it
  std::optional<CodecId> fallback;  // for rows that do not divide by block_len
  // Bound on the relative RMS error of encode-decode on rows of independent standard normals.
  float error_bound;
  const Grid* grid;  // null: floats, integers, and formats that hold activations only

  // n is a multiple of block_len.
  void (*decode_row)(const std::byte* in, float* out, int64_t n);
  // importance: n column weights (>= 0), or null. Null function: decode only.
  void (*encode_row)(const float* in, const float* importance, std::byte* out, int64_t n);

  bool is_float() const { return block_len == 1 && encode_row != nullptr; }
  double bits_per_weight() const { return 8.0 * block_bytes / block_len; }
  bool divides(int64_t columns) const { return columns % block_len == 0; }
  uint64_t row_bytes(int64_t columns) const {
    return static_cast<uint64_t>(columns / block_len) * static_cast<uint64_t>(block_bytes);
  }
  uint64_t tensor_bytes(const Shape& shape) const {
    return static_cast<uint64_t>(shape.rows()) * row_bytes(shape.columns());
  }
};

std::span<const Codec> all_codecs();
const Codec& codec(CodecId id);
// By name, any case, or null ("q4_k", "BF16").
const Codec* find_codec(std::string_view name);
const Codec* find_codec_by_gguf_type(int gguf_type);

}  // namespace pare
