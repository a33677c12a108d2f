#include "model/transformed_source.h"

#include <cstring>

#include "codecs/codec.h"

namespace pare {
namespace {

// A new tensor of zeroed bytes; `*data` points to them.
PackedTensor allocate(CodecId id, const Shape& shape, std::byte** data) {
  auto buffer = std::make_shared<std::vector<std::byte>>(codec(id).tensor_bytes(shape));
  *data = buffer->data();
  return {id, shape, *buffer, buffer};
}

// out row of each head: `to(i, j)` where i indexes the pair and j = 0, 1 the half.
template <typename Place>
Result<PackedTensor> move_head_rows(const PackedTensor& in, int64_t heads, Place place) {
  const bool vector = in.shape.rank() == 1;
  const int64_t rows = vector ? in.shape[0] : in.shape.rows();
  if (heads <= 0 || rows % (2 * heads) != 0 || (vector && !codec(in.codec).is_float())) {
    return corrupt("{} rows of {} cannot be split into {} heads of pairs", rows,
                   codec(in.codec).name, heads);
  }
  std::byte* out;
  PackedTensor result = allocate(in.codec, in.shape, &out);
  const auto stride = in.bytes.size() / static_cast<size_t>(rows);
  const int64_t half = rows / heads / 2;
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t i = 0; i < half; ++i) {
      for (int64_t j = 0; j < 2; ++j) {
        const auto [to, from] = place(half, i, j);
        std::memcpy(out + static_cast<size_t>(2 * half * h + to) * stride,
                    in.bytes.data() + static_cast<size_t>(2 * half * h + from) * stride, stride);
      }
    }
  }
  return result;
}

template <typename Word>
void transpose_words(const std::byte* in, std::byte* out, int64_t rows, int64_t columns) {
  // Tiles keep both sides' cache lines in use.
  constexpr int64_t kTile = 32;
  for (int64_t r0 = 0; r0 < rows; r0 += kTile) {
    for (int64_t c0 = 0; c0 < columns; c0 += kTile) {
      for (int64_t r = r0; r < std::min(rows, r0 + kTile); ++r) {
        for (int64_t c = c0; c < std::min(columns, c0 + kTile); ++c) {
          std::memcpy(out + static_cast<size_t>(c * rows + r) * sizeof(Word),
                      in + static_cast<size_t>(r * columns + c) * sizeof(Word), sizeof(Word));
        }
      }
    }
  }
}

}  // namespace

void TransformedSource::pass(std::string name, size_t index) {
  TensorInfo info = base_->tensors()[index];
  info.name = std::move(name);
  infos_.push_back(std::move(info));
  entries_.push_back({static_cast<int64_t>(index), nullptr, {}});
}

void TransformedSource::add(TensorInfo info, size_t index, Transform transform) {
  info.bytes = codec(info.codec).tensor_bytes(info.shape);
  infos_.push_back(std::move(info));
  entries_.push_back({static_cast<int64_t>(index), std::move(transform), {}});
}

void TransformedSource::add_vector(std::string name, std::vector<float> values) {
  auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  PackedTensor own{CodecId::kF32,
                   {static_cast<int64_t>(owner->size())},
                   std::as_bytes(std::span(*owner)),
                   owner};
  infos_.push_back({std::move(name), own.shape, CodecId::kF32, own.bytes.size()});
  entries_.push_back({-1, nullptr, std::move(own)});
}

Result<PackedTensor> TransformedSource::read(size_t index) const {
  const Entry& entry = entries_[index];
  if (entry.base < 0) return entry.own;
  PARE_ASSIGN_OR_RETURN(PackedTensor packed, base_->read(static_cast<size_t>(entry.base)));
  if (!entry.transform) return packed;
  Result<PackedTensor> result = entry.transform(packed);
  if (!result.ok()) return result.status().with_context(infos_[index].name);
  PARE_CHECK(result->shape == infos_[index].shape && result->codec == infos_[index].codec,
             "a transform gave another tensor than it had announced");
  return result;
}

void TransformedSource::release(size_t index) const {
  if (entries_[index].base >= 0) base_->release(static_cast<size_t>(entries_[index].base));
}

Result<PackedTensor> interleave_heads(const PackedTensor& in, int64_t heads) {
  return move_head_rows(in, heads, [](int64_t half, int64_t i, int64_t j) {
    return std::pair(2 * i + j, j * half + i);
  });
}

Result<PackedTensor> deinterleave_heads(const PackedTensor& in, int64_t heads) {
  return move_head_rows(in, heads, [](int64_t half, int64_t i, int64_t j) {
    return std::pair(j * half + i, 2 * i + j);
  });
}

Result<PackedTensor> decode_to_f32(const PackedTensor& in) {
  const Codec& from = codec(in.codec);
  if (from.decode_row == nullptr) return unsupported("{} cannot be decoded", from.name);
  std::byte* out;
  PackedTensor result = allocate(CodecId::kF32, in.shape, &out);
  const int64_t columns = in.shape.columns();
  for (int64_t r = 0; r < in.shape.rows(); ++r) {
    from.decode_row(in.row_bytes(r, 1).data(), reinterpret_cast<float*>(out) + r * columns,
                    columns);
  }
  return result;
}

Result<PackedTensor> add_constant(const PackedTensor& in, float addend) {
  PARE_ASSIGN_OR_RETURN(PackedTensor result, decode_to_f32(in));
  // The buffer was made for this tensor a line ago: nobody else sees it change.
  auto* values = reinterpret_cast<float*>(const_cast<std::byte*>(result.bytes.data()));
  for (int64_t i = 0; i < in.shape.elements(); ++i) values[i] += addend;
  return result;
}

Result<PackedTensor> transpose(const PackedTensor& in) {
  if (in.shape.rank() != 2) return corrupt("{} is not a matrix", in.shape.to_string());
  if (!codec(in.codec).is_float()) {
    PARE_ASSIGN_OR_RETURN(const PackedTensor decoded, decode_to_f32(in));
    return transpose(decoded);
  }
  std::byte* out;
  PackedTensor result = allocate(in.codec, {in.shape[1], in.shape[0]}, &out);
  switch (codec(in.codec).block_bytes) {
    case 2:
      transpose_words<uint16_t>(in.bytes.data(), out, in.shape[0], in.shape[1]);
      break;
    case 4:
      transpose_words<uint32_t>(in.bytes.data(), out, in.shape[0], in.shape[1]);
      break;
    case 8:
      transpose_words<uint64_t>(in.bytes.data(), out, in.shape[0], in.shape[1]);
      break;
    default:
      return unsupported("{} cannot be transposed", codec(in.codec).name);
  }
  return result;
}

}  // namespace pare
