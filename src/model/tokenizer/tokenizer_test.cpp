// Small vocabularies, made here, that show each rule by itself.
#include "model/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>

#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/gguf_spec.h"

namespace pare {
namespace {

using Ids = std::vector<int32_t>;

std::shared_ptr<const Tokenizer> build(const gguf::Metadata& metadata) {
  auto tokenizer = Tokenizer::from_gguf(metadata);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? *tokenizer : nullptr;
}

// The 256 bytes, then what merges make, then control and user-defined tokens.
struct ByteVocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges;

  ByteVocabulary() {
    for (int b = 0; b < 256; ++b) {
      add(bytes_to_alphabet(std::string(1, static_cast<char>(b))));
    }
  }
  int32_t add(const std::string& text, TokenType type = TokenType::kNormal) {
    tokens.push_back(text);
    types.push_back(static_cast<int32_t>(type));
    return static_cast<int32_t>(tokens.size()) - 1;
  }
  int32_t merge(const std::string& left, const std::string& right) {
    merges.push_back(left + " " + right);
    return add(left + right);
  }
  gguf::Metadata metadata(const char* pre) const {
    gguf::Metadata m;
    m.set("tokenizer.ggml.model", "gpt2");
    m.set("tokenizer.ggml.pre", pre);
    m.set("tokenizer.ggml.tokens", gguf::Array::of(tokens));
    m.set("tokenizer.ggml.token_type", gguf::Array::of(types));
    m.set("tokenizer.ggml.merges", gguf::Array::of(merges));
    return m;
  }
};

Ids encode(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  const auto ids = tokenizer.encode(text, options);
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? *ids : Ids();
}

TEST(ByteLevelBpe, MergesByRankNotByLength) {
  ByteVocabulary v;
  const int32_t bc = v.merge("b", "c");
  const int32_t ab = v.merge("a", "b");
  const int32_t abc = v.merge("ab", "c");
  const auto t = build(v.metadata("gpt-2"));
  // "b c" ranks first, so "a b" and with it "ab c" never happen.
  EXPECT_EQ(encode(*t, "abc"), (Ids{'a', bc}));
  EXPECT_EQ(encode(*t, "ab"), (Ids{ab}));
  EXPECT_EQ(encode(*t, "aabb"), (Ids{'a', ab, 'b'}));
  EXPECT_EQ(t->find("abc"), abc);
}

TEST(ByteLevelBpe, EqualRanksMergeFromTheLeft) {
  ByteVocabulary v;
  const int32_t aa = v.merge("a", "a");
  const auto t = build(v.metadata("gpt-2"));
  EXPECT_EQ(encode(*t, "aaa"), (Ids{aa, 'a'}));
  EXPECT_EQ(encode(*t, "aaaaa"), (Ids{aa, aa, 'a'}));
}

TEST(ByteLevelBpe, IgnoresMergesWhereTheKindSaysSo) {
  ByteVocabulary v;
  const int32_t word = v.add("xyz");  // no merge makes it
  EXPECT_EQ(encode(*build(v.metadata("llama-bpe")), "xyz", {.add_special = false}), (Ids{word}));
  EXPECT_EQ(encode(*build(v.metadata("qwen2")), "xyz"), (Ids{'x', 'y', 'z'}));
}

TEST(ByteLevelBpe, MergesThroughTextsThatAreNoTokens) {
  ByteVocabulary v;
  v.merges = {"a b", "ab c"};  // "ab" is no token
  const int32_t abc = v.add("abc");
  const auto t = build(v.metadata("gpt-2"));
  EXPECT_EQ(encode(*t, "abc"), (Ids{abc}));
  EXPECT_EQ(encode(*t, "abd"), (Ids{'a', 'b', 'd'}));
}

TEST(ByteLevelBpe, DigitsSplitAsTheKindSays) {
  ByteVocabulary v;
  const int32_t two = v.merge("1", "1");
  const int32_t four = v.merge("11", "11");
  EXPECT_EQ(encode(*build(v.metadata("gpt-2")), "1111"), (Ids{four}));
  EXPECT_EQ(encode(*build(v.metadata("dbrx")), "1111"), (Ids{two, '1', '1'}));
  EXPECT_EQ(encode(*build(v.metadata("smollm")), "1111"), (Ids{'1', '1', '1', '1'}));
}

TEST(ByteLevelBpe, ControlTokensOnlyWhenAsked) {
  ByteVocabulary v;
  const int32_t end = v.add("<|im_end|>", TokenType::kControl);
  const int32_t user = v.add("<tab>", TokenType::kUserDefined);
  const auto t = build(v.metadata("gpt-2"));
  EXPECT_EQ(encode(*t, "a<|im_end|>b"), (Ids{'a', end, 'b'}));
  EXPECT_EQ(encode(*t, "a<|im_end|>", {.parse_special = false}).size(), 11u);
  EXPECT_EQ(encode(*t, "<tab>x", {.parse_special = false}), (Ids{user, 'x'}));
  EXPECT_TRUE(t->is_end_of_generation(end));
  EXPECT_EQ(t->special().eot, end);
  EXPECT_EQ(t->decode(Ids{'a', end, 'b'}), "ab");
  EXPECT_EQ(t->decode(Ids{'a', end, 'b'}, false), "a<|im_end|>b");
}

TEST(ByteLevelBpe, LongestTokenAtTheLeftmostPlaceWins) {
  ByteVocabulary v;
  const int32_t spaces2 = v.add("  ", TokenType::kUserDefined);
  const int32_t spaces4 = v.add("    ", TokenType::kUserDefined);
  const auto t = build(v.metadata("gpt-2"));
  EXPECT_EQ(encode(*t, "      x"), (Ids{spaces4, spaces2, 'x'}));
}

TEST(ByteLevelBpe, AnyBytesComeBack) {
  ByteVocabulary v;
  v.merge("a", "b");
  const auto t = build(v.metadata("llama-bpe"));
  const std::string text = "ab \xc3\xa9\xf0\x9f\x99\x82\n\t  \xe0\xa4\x95\xe0\xa5\x8d 12345 don't";
  const EncodeOptions plain{.add_special = false};
  EXPECT_EQ(t->decode(encode(*t, text, plain)), text);
  // What is not UTF-8 reads as U+FFFD, byte by byte.
  EXPECT_EQ(t->decode(encode(*t, "a\xff\xe2\x82z", plain)),
            "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
  EXPECT_EQ(encode(*t, "", {.add_special = false}), Ids());
}

TEST(ByteLevelBpe, AddsBosAndEos) {
  ByteVocabulary v;
  const int32_t bos = v.add("<s>", TokenType::kControl);
  const int32_t eos = v.add("</s>", TokenType::kControl);
  gguf::Metadata m = v.metadata("gpt-2");
  m.set("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(bos));
  m.set("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(eos));
  m.set("tokenizer.ggml.add_bos_token", true);
  m.set("tokenizer.ggml.add_eos_token", true);
  const auto t = build(m);
  EXPECT_EQ(encode(*t, "x"), (Ids{bos, 'x', eos}));
  EXPECT_EQ(encode(*t, "x", {.add_special = false}), (Ids{'x'}));
}

// A hostile text of one megabyte must not take quadratic time. The bound is generous: a quadratic
// algorithm would take hours.
TEST(ByteLevelBpe, OneHugeWordIsFast) {
  ByteVocabulary v;
  std::string text = "a";
  for (int i = 0; i < 10; ++i) {
    v.merge(text, text);
    text += text;
  }
  const auto t = build(v.metadata("gpt-2"));
  const auto begin = std::chrono::steady_clock::now();
  const Ids ids = encode(*t, std::string(1 << 20, 'a'));
  EXPECT_EQ(ids.size(), 1024u);
  EXPECT_EQ(encode(*t, std::string(1 << 20, ' ')).size(), size_t{1} << 20);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

struct PieceVocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<float> scores;

  PieceVocabulary() {
    add("<unk>", TokenType::kUnknown, 0.0f);
    add("<s>", TokenType::kControl, 0.0f);
    add("</s>", TokenType::kControl, 0.0f);
    for (int b = 0; b < 256; ++b) add(fmt::format("<0x{:02X}>", b), TokenType::kByte, 0.0f);
  }
  int32_t add(const std::string& text, TokenType type, float score) {
    tokens.push_back(text);
    types.push_back(static_cast<int32_t>(type));
    scores.push_back(score);
    return static_cast<int32_t>(tokens.size()) - 1;
  }
  gguf::Metadata metadata() const {
    gguf::Metadata m;
    m.set("tokenizer.ggml.model", "llama");
    m.set("tokenizer.ggml.tokens", gguf::Array::of(tokens));
    m.set("tokenizer.ggml.token_type", gguf::Array::of(types));
    m.set("tokenizer.ggml.scores", gguf::Array::of(scores));
    return m;
  }
  static int32_t byte(unsigned b) { return 3 + static_cast<int32_t>(b); }
};

TEST(SentencePieceBpe, BestScoreFirstSpacesMarkedBytesForTheRest) {
  PieceVocabulary v;
  const int32_t mark = v.add("\xe2\x96\x81", TokenType::kNormal, -10.0f);
  const int32_t a = v.add("a", TokenType::kNormal, -11.0f);
  const int32_t b = v.add("b", TokenType::kNormal, -12.0f);
  const int32_t ab = v.add("ab", TokenType::kNormal, -2.0f);
  const int32_t mark_a = v.add(
      "\xe2\x96\x81"
      "a",
      TokenType::kNormal, -1.0f);
  const auto t = build(v.metadata());
  EXPECT_EQ(encode(*t, "ab"), (Ids{1, mark_a, b}));
  EXPECT_EQ(encode(*t, "bab", {.add_special = false}), (Ids{mark, b, ab}));
  EXPECT_EQ(encode(*t, "a\xc3\xa9", {.add_special = false}),
            (Ids{mark_a, v.byte(0xc3), v.byte(0xa9)}));
  // After a special token the text begins anew, with its space.
  EXPECT_EQ(encode(*t, "a</s>a", {.add_special = false}), (Ids{mark_a, 2, mark_a}));
  EXPECT_EQ(t->decode(encode(*t, "a b\xc3\xa9")), "a b\xc3\xa9");
  EXPECT_EQ(encode(*t, "", {.add_special = true}), (Ids{1}));
  EXPECT_EQ(a + 1, b);
}

TEST(SentencePieceBpe, SpacePrefixCanBeOff) {
  PieceVocabulary v;
  const int32_t a = v.add("a", TokenType::kNormal, -11.0f);
  gguf::Metadata m = v.metadata();
  m.set("tokenizer.ggml.add_space_prefix", false);
  EXPECT_EQ(encode(*build(m), "a"), (Ids{1, a}));
}

TEST(GgufTokenizer, ErrorsSayWhatIsWrong) {
  const auto message = [](const gguf::Metadata& m) {
    const auto t = Tokenizer::from_gguf(m);
    return t.ok() ? std::string() : t.status().message();
  };
  const gguf::Metadata good = ByteVocabulary().metadata("gpt-2");
  gguf::Metadata m = good;
  m.set("tokenizer.ggml.model", "t5");
  EXPECT_NE(message(m).find("t5"), std::string::npos);
  m = good;
  m.set("tokenizer.ggml.pre", "never-heard-of");
  EXPECT_NE(message(m).find("never-heard-of"), std::string::npos);
  m = good;
  m.set("tokenizer.ggml.tokens", gguf::Array::of(std::vector<std::string>{"a", "a"}));
  EXPECT_NE(message(m).find("twice"), std::string::npos);
  m = good;
  m.set("tokenizer.ggml.merges", gguf::Array::of(std::vector<std::string>{"nospace"}));
  EXPECT_NE(message(m).find("nospace"), std::string::npos);
  m = good;
  m.erase("tokenizer.ggml.tokens");
  EXPECT_NE(message(m).find("tokenizer.ggml.tokens"), std::string::npos);
}

}  // namespace
}  // namespace pare
