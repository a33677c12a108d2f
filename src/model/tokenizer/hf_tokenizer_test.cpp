// Hugging Face tokenizers: what tokenizer.json says, what becomes of it in GGUF, and back.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "formats/gguf/reader.h"
#include "formats/hf_directory.h"
#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/gguf_to_hf.h"
#include "model/tokenizer/hf_to_gguf.h"
#include "model/tokenizer/sentencepiece_model.h"
#include "model/tokenizer/tokenizer.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;
using Json = nlohmann::json;

class HfTokenizer : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() /
           fmt::format("pare_tok_{}_{}", getpid(),
                       testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  void write(const char* name, const std::string& text) {
    ASSERT_TRUE(write_text_atomically((dir_ / name).string(), text).ok());
  }
  std::shared_ptr<const HfDirectory> open() const { return open(dir_.string()); }
  static std::shared_ptr<const HfDirectory> open(const std::string& path) {
    auto directory = HfDirectory::open(path, {.weights = false});
    EXPECT_TRUE(directory.ok()) << directory.status().message();
    return directory.ok() ? *directory : nullptr;
  }
  Result<std::shared_ptr<const Tokenizer>> load() const { return Tokenizer::from_hf(*open()); }
  Ids encode(std::string_view text, EncodeOptions options = {}) const {
    const auto tokenizer = load();
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    return tokenizer.ok() ? (*tokenizer)->encode(text, options).value() : Ids();
  }

  fs::path dir_;
};

Json added(int id, const char* text, bool special = false) {
  return {{"id", id},        {"content", text},     {"special", special},  {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"single_word", false}};
}

// Byte-level BPE over the 256 bytes and a few merges: 256 is "ab", 257 " a".
Json byte_level(const char* regex) {
  Json vocab;
  for (int b = 0; b < 256; ++b) {
    vocab[bytes_to_alphabet(std::string(1, static_cast<char>(b)))] = b;
  }
  vocab["ab"] = 256;
  vocab["\u0120a"] = 257;
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", regex}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  return {{"added_tokens", Json::array({added(258, "<|end|>", true)})},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a b", {"\u0120", "a"}}}}}};
}

constexpr char kQwen2[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

TEST_F(HfTokenizer, MergesInBothForms) {
  write("tokenizer.json", byte_level(kQwen2).dump());
  EXPECT_EQ(encode("ab a<|end|>"), (Ids{256, 257, 258}));
}

TEST_F(HfTokenizer, FlagsOfAddedTokens) {
  Json json = byte_level(kQwen2);
  Json strip = added(259, "[S]");
  strip["lstrip"] = strip["rstrip"] = true;
  Json word = added(260, "cat");
  word["single_word"] = true;
  json["added_tokens"].push_back(strip);
  json["added_tokens"].push_back(word);
  write("tokenizer.json", json.dump());
  EXPECT_EQ(encode("b  [S] \n b"), (Ids{'b', 259, 'b'}));
  EXPECT_EQ(encode("cat!"), (Ids{260, '!'}));
  EXPECT_EQ(encode("cats"), (Ids{'c', 'a', 't', 's'}));
}

TEST_F(HfTokenizer, NormalizedTokensAreFoundAfterNormalizing) {
  Json json = byte_level(kQwen2);
  json["normalizer"] = {{"type", "Lowercase"}};
  Json token = added(259, "XY");
  token["normalized"] = true;
  json["added_tokens"].push_back(token);
  write("tokenizer.json", json.dump());
  EXPECT_EQ(encode("AxYxyB"), (Ids{'a', 259, 259, 'b'}));
}

TEST_F(HfTokenizer, NfcComposes) {
  Json json = byte_level(kQwen2);
  json["normalizer"] = {{"type", "NFC"}};
  write("tokenizer.json", json.dump());
  EXPECT_EQ(encode("e\u0301"), (Ids{0xc3, 0xa9}));
  // U+11A7 is no trailing consonant: nothing composes with it.
  EXPECT_EQ(encode("\uac00\u11a7").size(), 6u);
}

TEST_F(HfTokenizer, TemplateAndConfigAddTokens) {
  Json json = byte_level(kQwen2);
  const Json end = {{"SpecialToken", {{"id", "<|end|>"}, {"type_id", 0}}}};
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {end, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, end}}};
  write("tokenizer.json", json.dump());
  EXPECT_EQ(encode("a"), (Ids{258, 'a', 258}));
  EXPECT_EQ(encode("a", {.add_special = false}), (Ids{'a'}));
}

TEST_F(HfTokenizer, UnknownComponentsAreNamed) {
  Json json = byte_level(kQwen2);
  json["model"]["type"] = "Unigram";
  write("tokenizer.json", json.dump());
  EXPECT_NE(load().status().message().find("Unigram"), std::string::npos);
  json = byte_level(kQwen2);
  json["normalizer"] = {{"type", "Nmt"}};
  write("tokenizer.json", json.dump());
  EXPECT_NE(load().status().message().find("Nmt"), std::string::npos);
  json = byte_level("[a-z&&[b]]");
  write("tokenizer.json", json.dump());
  EXPECT_EQ(load().status().code(), StatusCode::kUnsupported);
  json = byte_level(kQwen2);
  json["model"]["vocab"]["far"] = 2'000'000'000;
  write("tokenizer.json", json.dump());
  EXPECT_EQ(load().status().code(), StatusCode::kCorrupt);
}

TEST_F(HfTokenizer, ARunawayRegexEndsInAnError) {
  write("tokenizer.json", byte_level("(a+)+$").dump());
  const auto tokenizer = load();
  ASSERT_TRUE(tokenizer.ok());
  const auto ids = (*tokenizer)->encode(std::string(200, 'a') + "!");
  ASSERT_FALSE(ids.ok());
  EXPECT_NE(ids.status().message().find("(a+)+$"), std::string::npos);
}

TEST_F(HfTokenizer, ToGgufFindsTheKindAndPads) {
  write("tokenizer.json", byte_level(kQwen2).dump());
  write("tokenizer_config.json", R"({"eos_token": "<|end|>", "chat_template": "{{ messages }}"})");
  const auto gguf = tokenizer_to_gguf(*open(), {.vocab_size = 262});
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_EQ(gguf->get_string("tokenizer.ggml.pre").value(), "qwen2");
  EXPECT_EQ(gguf->get_u32("tokenizer.ggml.eos_token_id").value(), 258u);
  EXPECT_EQ(gguf->get_string("tokenizer.chat_template").value(), "{{ messages }}");
  const gguf::Array tokens = gguf->get_strings("tokenizer.ggml.tokens").value();
  ASSERT_EQ(tokens.size(), 262u);
  EXPECT_EQ(tokens.string(261), "[PAD261]");
  const auto types = gguf->get_ints("tokenizer.ggml.token_type").value();
  EXPECT_EQ(types[256], 1);
  EXPECT_EQ(types[258], 3);
  EXPECT_EQ(types[261], 5);
  const auto tokenizer = Tokenizer::from_gguf(*gguf);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ((*tokenizer)->encode("ab a<|end|>").value(), (Ids{256, 257, 258}));
  EXPECT_FALSE(tokenizer_to_gguf(*open(), {.vocab_size = 100}).ok());
}

TEST_F(HfTokenizer, UnknownPreTokenizerNeedsAnOverride) {
  write("tokenizer.json", byte_level(R"(\p{L}+|\s+)").dump());
  const auto unknown = tokenizer_to_gguf(*open());
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.status().message().find(R"(\p{L}+|\s+)"), std::string::npos);
  const auto named = tokenizer_to_gguf(*open(), {.pre = "gpt-2"});
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->get_string("tokenizer.ggml.pre").value(), "gpt-2");
  EXPECT_FALSE(tokenizer_to_gguf(*open(), {.pre = "nonsense"}).ok());
}

// A protocol buffer by hand: field numbers and wire types of sentencepiece_model.proto.
std::string field(int number, const std::string& bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  for (size_t n = bytes.size();; n >>= 7) {
    out += static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
    if (n <= 0x7f) break;
  }
  return out + bytes;
}
std::string varint(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}
std::string piece(const std::string& text, float score, int type) {
  const std::string bits(reinterpret_cast<const char*>(&score), 4);
  return field(1, field(1, text) + std::string(1, '\x15') + bits + varint(3, type));
}
std::string small_model() {
  std::string model = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
  model += piece("\u2581", -3, 1) + piece("a", -4, 1) + piece("b", -5, 1);
  model += piece("ab", -2, 1) + piece("\u2581a", -1, 1);
  model += field(2, varint(3, 2));                       // BPE
  return model + field(3, varint(3, 1) + varint(4, 0));  // dummy prefix, spaces kept
}

TEST_F(HfTokenizer, SentencePieceFile) {
  write("tokenizer.model", small_model());
  write("tokenizer_config.json",
        R"({"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder":
            {"8": {"content": "<x>", "special": true}}})");
  EXPECT_EQ(encode("ab"), (Ids{1, 7, 5}));
  EXPECT_EQ(encode("b ab<x>", {.add_special = false}), (Ids{3, 5, 7, 5, 8}));
  EXPECT_EQ(encode("q", {.add_special = false}), (Ids{3, 0}));  // unknown: there are no bytes
  const auto gguf = tokenizer_to_gguf(*open());
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  EXPECT_EQ(gguf->get_string("tokenizer.ggml.model").value(), "llama");
  const auto tokenizer = Tokenizer::from_gguf(*gguf);
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ((*tokenizer)->encode("ab<x>").value(), (Ids{1, 7, 5, 8}));
}

TEST(SentencePieceModelFile, DamagedFilesAreErrors) {
  const std::string good = small_model();
  const auto parse = [](const std::string& bytes) {
    return parse_sentencepiece_model(std::as_bytes(std::span(bytes.data(), bytes.size())), "m");
  };
  ASSERT_TRUE(parse(good).ok());
  EXPECT_EQ(parse(good)->pieces.size(), 8u);
  EXPECT_FALSE(parse("").ok());
  EXPECT_FALSE(parse(good.substr(0, good.size() - 1)).ok());
  EXPECT_FALSE(parse(std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11)).ok());
  EXPECT_FALSE(parse(std::string(20, '\xff')).ok());
  EXPECT_FALSE(parse(std::string("\x0f\x00", 2)).ok());  // wire type 7
  EXPECT_FALSE(parse(piece("", 0, 1)).ok());             // an empty piece
  EXPECT_FALSE(parse(piece("a", 0, 9)).ok());            // a type of no meaning
  EXPECT_FALSE(parse(piece("\xff", 0, 1)).ok());         // not UTF-8
}

// SentencePiece as tokenizer.json: merges instead of scores.
Json sentencepiece_json() {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int b = 0; b < 256; ++b) vocab[fmt::format("<0x{:02X}>", b)] = 3 + b;
  int id = 259;
  for (const char* text : {"\u2581", "a", "b", "ab", "\u2581a", "\u2581ab"}) vocab[text] = id++;
  return {
      {"added_tokens", {added(0, "<unk>", true), added(1, "<s>", true), added(2, "</s>", true)}},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", "\u2581"}},
          {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}}}}},
      {"pre_tokenizer", nullptr},
      {"decoder",
       {{"type", "Sequence"},
        {"decoders",
         Json::array({Json({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}})})}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"byte_fallback", true},
        {"fuse_unk", true},
        {"vocab", vocab},
        {"merges", {"a b", "\u2581 a", "\u2581 ab"}}}}};
}

TEST_F(HfTokenizer, SentencePieceJsonKeepsItsIdsInGguf) {
  write("tokenizer.json", sentencepiece_json().dump());
  write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>",
                                     "eos_token": "</s>", "unk_token": "<unk>"})");
  const auto gguf = tokenizer_to_gguf(*open());
  ASSERT_TRUE(gguf.ok()) << gguf.status().message();
  const auto from_gguf = Tokenizer::from_gguf(*gguf);
  ASSERT_TRUE(from_gguf.ok());
  for (const char* text : {"ab", "a b", "ba ab", "  a", "ab</s>ab", "a\u00e9b", "", " "}) {
    EXPECT_EQ((*from_gguf)->encode(text).value(), encode(text)) << "'" << text << "'";
  }
  EXPECT_EQ(encode("ab a\u00e9"), (Ids{1, 264, 263, 3 + 0xc3, 3 + 0xa9}));
  EXPECT_EQ((*load())->decode(encode("ab \u00e9")), "ab \u00e9");
}

// GGUF to tokenizer.json and back gives the same ids.
TEST_F(HfTokenizer, GgufToHfAndBack) {
  for (const Json& json : {byte_level(kQwen2), sentencepiece_json()}) {
    write("tokenizer.json", json.dump());
    const auto gguf = tokenizer_to_gguf(*open());
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    const auto original = Tokenizer::from_gguf(*gguf);
    const auto files = tokenizer_to_hf(*gguf);
    ASSERT_TRUE(files.ok()) << files.status().message();
    write("tokenizer.json", files->tokenizer);
    write("tokenizer_config.json", files->tokenizer_config);
    const auto back = load();
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_EQ((*back)->vocabulary(), (*original)->vocabulary());
    for (const char* text : {"ab a ba", "<|end|>ab", "  \n a</s>b", "\u00e9\u4e2d 123", ""}) {
      EXPECT_EQ((*back)->encode(text).value(), (*original)->encode(text).value()) << text;
    }
    fs::remove(dir_ / "tokenizer_config.json");
  }
}

// The two real tokenizers, against vectors made with llama.cpp's reference.
TEST_F(HfTokenizer, RealTokenizersGiveTheSameIdsThroughGguf) {
  const fs::path shared = fs::path(PARE_SOURCE_DIR) / "../shared/data/tokenizers";
  if (!fs::is_directory(shared)) GTEST_SKIP() << "no ../shared/data/tokenizers";
  for (const char* name : {"llama3", "qwen3"}) {
    const auto directory = open((shared / name).string());
    const auto tokenizer = Tokenizer::from_hf(*directory);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    const auto gguf = tokenizer_to_gguf(*directory);
    ASSERT_TRUE(gguf.ok()) << gguf.status().message();
    EXPECT_EQ(gguf->get_string("tokenizer.ggml.pre").value(),
              name == std::string("llama3") ? "llama-bpe" : "qwen2");
    const auto through = Tokenizer::from_gguf(*gguf);
    ASSERT_TRUE(through.ok());
    const std::string text =
        "I've 12345 apples; J'AI \u00c9T\u00c9 l\u00e0!\n\n\t  def f(x): return x**2\r\n"
        "\u4f60\u597d\uff0c\u4e16\u754c \U0001f642\U0001f3fd <|im_start|>user<|eot_id|>";
    EXPECT_EQ((*through)->encode(text).value(), (*tokenizer)->encode(text).value());
    EXPECT_EQ((*tokenizer)->decode((*tokenizer)->encode(text).value(), false), text);
  }
}

}  // namespace
}  // namespace pare
