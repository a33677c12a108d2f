#include "formats/llama2c.h"

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/byte_reader.h"

namespace pare::llama2c {
namespace {

constexpr uint64_t kHeaderBytes = 7 * sizeof(int32_t);
constexpr int32_t kLimit = 1 << 22;  // on each extent: sizes then fit 64 bits
constexpr int32_t kMaxBlocks = 4096;

struct Config {
  int32_t dim, hidden, blocks, heads, kv_heads, vocab, context;
  bool tied;
};

// Nothing if these cannot be the extents of a model.
std::optional<Config> read_config(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  int32_t v[7];
  std::memcpy(v, bytes.data(), kHeaderBytes);
  // A negative vocabulary size means that the output matrix is stored apart.
  if (v[5] == INT32_MIN) return std::nullopt;
  const Config c{v[0], v[1], v[2], v[3], v[4], std::abs(v[5]), v[6], v[5] > 0};
  for (int32_t n : {c.dim, c.hidden, c.blocks, c.heads, c.kv_heads, c.vocab, c.context}) {
    if (n < 1 || n > kLimit) return std::nullopt;
  }
  if (c.blocks > kMaxBlocks || c.dim % c.heads != 0 || c.heads % c.kv_heads != 0)
    return std::nullopt;
  if (c.dim / c.heads % 2 != 0) return std::nullopt;
  return c;
}

// One family of tensors as it lies in the file: all blocks' one after the other.
struct Run {
  const char* name;  // within a block, or of a model's single tensor
  bool per_block;
  Shape shape;
};

std::vector<Run> runs_of(const Config& c) {
  const int64_t kv = int64_t{c.dim} / c.heads * c.kv_heads;
  std::vector<Run> runs = {
      {"token_embd.weight", false, {c.vocab, c.dim}},
      {"attn_norm.weight", true, {c.dim}},
      {"attn_q.weight", true, {c.dim, c.dim}},
      {"attn_k.weight", true, {kv, c.dim}},
      {"attn_v.weight", true, {kv, c.dim}},
      {"attn_output.weight", true, {c.dim, c.dim}},
      {"ffn_norm.weight", true, {c.dim}},
      {"ffn_gate.weight", true, {c.hidden, c.dim}},
      {"ffn_down.weight", true, {c.dim, c.hidden}},
      {"ffn_up.weight", true, {c.hidden, c.dim}},
      {"output_norm.weight", false, {c.dim}},
      // Tables of cosines and sines that every reader can compute: skipped.
      {nullptr, false, {c.context, c.dim / c.heads}},
  };
  if (!c.tied) runs.push_back({"output.weight", false, {c.vocab, c.dim}});
  return runs;
}

uint64_t run_bytes(const Run& run, const Config& c) {
  const int64_t count = run.per_block ? c.blocks : 1;
  return static_cast<uint64_t>(run.shape.elements() * count) * sizeof(float);
}

uint64_t file_bytes(const Config& c) {
  uint64_t bytes = kHeaderBytes;
  for (const Run& run : runs_of(c)) bytes += run_bytes(run, c);
  return bytes;
}

gguf::Metadata model_metadata(const Config& c) {
  const auto u32 = [](int32_t n) { return static_cast<uint32_t>(n); };
  gguf::Metadata m;
  m.set("general.architecture", "llama");
  m.set("llama.context_length", u32(c.context));
  m.set("llama.embedding_length", u32(c.dim));
  m.set("llama.block_count", u32(c.blocks));
  m.set("llama.feed_forward_length", u32(c.hidden));
  m.set("llama.attention.head_count", u32(c.heads));
  m.set("llama.attention.head_count_kv", u32(c.kv_heads));
  m.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  m.set("llama.rope.dimension_count", u32(c.dim / c.heads));
  m.set("llama.rope.freq_base", 10000.0f);
  m.set("llama.vocab_size", u32(c.vocab));
  return m;
}

// GGUF's token kinds.
enum : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6 };

bool is_byte_token(std::string_view text) {
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with('>') &&
         std::isxdigit(static_cast<unsigned char>(text[3])) &&
         std::isxdigit(static_cast<unsigned char>(text[4]));
}

// The file: an int32 with the longest token's length, then per token a float32 score, an int32
// length and the text, in which SentencePiece's mark for a space has become a space.
Status add_vocabulary(const MappedFile& file, int32_t vocab, gguf::Metadata* metadata) {
  ByteReader in(file.bytes(), file.path());
  PARE_RETURN_IF_ERROR(in.skip(sizeof(int32_t), "the longest token's length"));
  gguf::StringArrayBuilder tokens;
  std::vector<float> scores;
  std::vector<int32_t> kinds;
  for (int32_t id = 0; id < vocab; ++id) {
    PARE_ASSIGN_OR_RETURN(const float score, in.number<float>("a token's score"));
    PARE_ASSIGN_OR_RETURN(const uint32_t length, in.number<uint32_t>("a token's length"));
    PARE_ASSIGN_OR_RETURN(const auto bytes, in.bytes(length, "a token"));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::string marked;
    for (char c : text) {
      if (c == ' ')
        marked += "\u2581";
      else
        marked += c;
    }
    int32_t kind = is_byte_token(text) ? kByte : kNormal;
    // The first three are fixed, and stored in a form made for printing.
    if (id == 0) marked = "<unk>", kind = kUnknown;
    if (id == 1) marked = "<s>", kind = kControl;
    if (id == 2) marked = "</s>", kind = kControl;
    tokens.add(marked);
    scores.push_back(score);
    kinds.push_back(kind);
  }
  if (in.remaining() != 0) {
    return in.error("{} bytes follow the last of {} tokens", in.remaining(), vocab);
  }
  metadata->set("tokenizer.ggml.model", "llama");
  metadata->set("tokenizer.ggml.tokens", std::move(tokens).build());
  metadata->set("tokenizer.ggml.scores", gguf::Array::of(scores));
  metadata->set("tokenizer.ggml.token_type", gguf::Array::of(kinds));
  metadata->set("tokenizer.ggml.bos_token_id", uint32_t{1});
  metadata->set("tokenizer.ggml.eos_token_id", uint32_t{2});
  metadata->set("tokenizer.ggml.unknown_token_id", uint32_t{0});
  metadata->set("tokenizer.ggml.add_bos_token", true);
  metadata->set("tokenizer.ggml.add_eos_token", false);
  return {};
}

}  // namespace

bool File::recognises(std::span<const std::byte> bytes) {
  const auto config = read_config(bytes);
  return config && file_bytes(*config) == bytes.size();
}

Result<std::shared_ptr<const File>> File::open(const std::string& path,
                                               const std::string& tokenizer_path) {
  PARE_ASSIGN_OR_RETURN(auto checkpoint, MappedFile::open(path));
  std::string found = tokenizer_path;
  if (const auto config = read_config(checkpoint->bytes()); found.empty() && config) {
    const auto directory = std::filesystem::path(path).parent_path();
    for (const std::string& name :
         {fmt::format("tok{}.bin", config->vocab), std::string("tokenizer.bin")}) {
      const std::string candidate = (directory / name).string();
      if (found.empty() && file_exists(candidate)) found = candidate;
    }
  }
  std::shared_ptr<const MappedFile> tokenizer;
  if (!found.empty()) {
    PARE_ASSIGN_OR_RETURN(tokenizer, MappedFile::open(found));
  }
  return parse(std::move(checkpoint), std::move(tokenizer));
}

Result<std::shared_ptr<const File>> File::parse(std::shared_ptr<const MappedFile> checkpoint,
                                                std::shared_ptr<const MappedFile> tokenizer) {
  const auto config = read_config(checkpoint->bytes());
  if (!config) return corrupt("{}: not a llama2.c checkpoint", checkpoint->path());
  if (const uint64_t expected = file_bytes(*config); expected != checkpoint->bytes().size()) {
    return corrupt("{}: {} bytes, but its header asks for {}", checkpoint->path(),
                   checkpoint->bytes().size(), expected);
  }
  std::shared_ptr<File> file(new File);
  file->metadata_ = model_metadata(*config);
  if (tokenizer != nullptr) {
    PARE_RETURN_IF_ERROR(add_vocabulary(*tokenizer, config->vocab, &file->metadata_));
  }
  uint64_t offset = kHeaderBytes;
  for (const Run& run : runs_of(*config)) {
    const int32_t count = run.per_block ? config->blocks : 1;
    const uint64_t bytes = run_bytes(run, *config) / static_cast<uint64_t>(count);
    for (int32_t b = 0; run.name != nullptr && b < count; ++b) {
      std::string name = run.per_block ? fmt::format("blk.{}.{}", b, run.name) : run.name;
      file->tensors_.push_back({std::move(name), run.shape, CodecId::kF32, bytes});
      file->offsets_.push_back(offset + static_cast<uint64_t>(b) * bytes);
    }
    offset += run_bytes(run, *config);
  }
  file->file_ = std::move(checkpoint);
  return std::shared_ptr<const File>(std::move(file));
}

std::span<const std::byte> File::bytes(size_t index) const {
  PARE_CHECK(index < tensors_.size(), "no such tensor");
  return file_->bytes().subspan(static_cast<size_t>(offsets_[index]),
                                static_cast<size_t>(tensors_[index].bytes));
}

Result<PackedTensor> File::read(size_t index) const {
  return PackedTensor{CodecId::kF32, tensors_[index].shape, bytes(index), file_};
}

void File::release(size_t index) const { file_->release(bytes(index)); }

}  // namespace pare::llama2c
