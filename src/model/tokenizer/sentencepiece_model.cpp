#include "model/tokenizer/sentencepiece_model.h"

#include <cstring>

#include "base/byte_reader.h"
#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

// One field of a message: its number and, by wire type, a number or bytes.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;                // varint, fixed64, fixed32
  std::span<const std::byte> bytes;  // length-delimited
  bool is_bytes = false;

  std::string text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  float as_float() const {
    const auto low = static_cast<uint32_t>(value);
    float f;
    std::memcpy(&f, &low, sizeof(f));
    return f;
  }
  // Protocol buffers sign-extend negative 32-bit numbers to 64 bits.
  int32_t as_int() const { return static_cast<int32_t>(static_cast<uint32_t>(value)); }
};

Result<uint64_t> read_varint(ByteReader* reader) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    PARE_ASSIGN_OR_RETURN(const uint8_t byte, reader->number<uint8_t>("a varint"));
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return reader->error("a varint of more than 10 bytes");
}

Result<Field> read_field(ByteReader* reader) {
  Field field;
  PARE_ASSIGN_OR_RETURN(const uint64_t tag, read_varint(reader));
  field.number = tag >> 3;
  switch (tag & 7) {
    case 0: {
      PARE_ASSIGN_OR_RETURN(field.value, read_varint(reader));
      return field;
    }
    case 1: {
      PARE_ASSIGN_OR_RETURN(field.value, reader->number<uint64_t>("a fixed64"));
      return field;
    }
    case 2: {
      PARE_ASSIGN_OR_RETURN(const uint64_t size, read_varint(reader));
      PARE_ASSIGN_OR_RETURN(field.bytes, reader->bytes(size, "a length-delimited field"));
      field.is_bytes = true;
      return field;
    }
    case 5: {
      PARE_ASSIGN_OR_RETURN(field.value, reader->number<uint32_t>("a fixed32"));
      return field;
    }
    default:
      return reader->error("wire type {}, expected 0, 1, 2 or 5", tag & 7);
  }
}

// Calls handle(field) for each field of a message.
template <typename Handle>
Status for_each_field(std::span<const std::byte> bytes, std::string_view label, Handle handle) {
  ByteReader reader(bytes, label);
  while (reader.remaining() > 0) {
    PARE_ASSIGN_OR_RETURN(const Field field, read_field(&reader));
    handle(field);
  }
  return {};
}

}  // namespace

Result<SentencePieceModel> parse_sentencepiece_model(std::span<const std::byte> bytes,
                                                     std::string_view label) {
  SentencePieceModel model;
  Status inner;
  const auto keep = [&](Status status) {
    if (inner.ok()) inner = std::move(status);
  };
  PARE_RETURN_IF_ERROR(for_each_field(bytes, label, [&](const Field& part) {
    if (!part.is_bytes) return;
    if (part.number == 1) {
      SentencePieceModel::Piece piece;
      keep(for_each_field(part.bytes, label, [&](const Field& f) {
        if (f.number == 1 && f.is_bytes) piece.text = f.text();
        if (f.number == 2) piece.score = f.as_float();
        if (f.number == 3) piece.type = f.as_int();
      }));
      model.pieces.push_back(std::move(piece));
    } else if (part.number == 2) {
      keep(for_each_field(part.bytes, label, [&](const Field& f) {
        if (f.number == 3) model.model_type = f.as_int();
        if (f.number == 35) model.byte_fallback = f.value != 0;
        if (f.number == 40) model.unk_id = f.as_int();
        if (f.number == 41) model.bos_id = f.as_int();
        if (f.number == 42) model.eos_id = f.as_int();
        if (f.number == 43) model.pad_id = f.as_int();
      }));
    } else if (part.number == 3) {
      keep(for_each_field(part.bytes, label, [&](const Field& f) {
        if (f.number == 2) model.has_character_map = !f.bytes.empty();
        if (f.number == 3) model.add_dummy_prefix = f.value != 0;
        if (f.number == 4) model.remove_extra_whitespaces = f.value != 0;
        if (f.number == 5) model.escape_whitespaces = f.value != 0;
      }));
    }
  }));
  PARE_RETURN_IF_ERROR(inner);
  if (model.pieces.empty()) return corrupt("{}: no pieces; not a SentencePiece model", label);
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const SentencePieceModel::Piece& piece = model.pieces[i];
    if (piece.text.empty() || !is_valid_utf8(piece.text)) {
      return corrupt("{}: piece {} is empty or not UTF-8", label, i);
    }
    if (piece.type < 1 || piece.type > 6) {
      return corrupt("{}: piece {} has type {}, expected 1 to 6", label, i, piece.type);
    }
  }
  return model;
}

}  // namespace pare
