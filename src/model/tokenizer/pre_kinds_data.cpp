// The regexes of the pre-tokenizer kinds. Facts: each is what the tokenizer.json of the models of
// that kind says, or, where that is not plain regexes, what llama.cpp reads under that name.
#include <algorithm>

#include "model/tokenizer/pre_kinds.h"

namespace pare {
namespace {

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define NEWLINES_AND_SPACE R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define GPT2 R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
// Words of one case change: "HelloWorld" is two.
#define CASED_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define CASED_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define CASED_LEAD R"([^\r\n\p{L}\p{N}]?)"
#define PUNCTUATION R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)"
#define PUNCTUATION_SLASH R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)"
#define KANA_AND_HAN R"([\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+)"
#define DEEPSEEK_WORDS                                  \
  R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)" \
  R"([^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)" NEWLINES_AND_SPACE

constexpr const char* kDefault[] = {R"([\p{P}\$\+<=>\^~\|]+)", GPT2, R"(\p{N}+)",
                                    "[0-9][0-9][0-9]"};
constexpr const char* kLlama3[] = {
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})" PUNCTUATION NEWLINES_AND_SPACE};
constexpr const char* kQwen2[] = {
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" PUNCTUATION NEWLINES_AND_SPACE};
constexpr const char* kQwen35[] = {
    CONTRACTION
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" NEWLINES_AND_SPACE};
constexpr const char* kGpt2[] = {GPT2};
constexpr const char* kStarcoder[] = {R"(\p{N})", GPT2};
constexpr const char* kFalcon[] = {R"([\p{P}\$\+<=>\^~\|`]+)", GPT2, "[0-9][0-9][0-9]"};
constexpr const char* kBloom[] = {
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{964}\x{6d4}\x{60c})]+)"};
constexpr const char* kViking[] = {
    R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{964}\x{6d4}\x{60c})]+)", R"(\p{N})"};
constexpr const char* kTekken[] = {CASED_LEAD CASED_UPPER
                                   "*" CASED_LOWER "+|" CASED_LEAD CASED_UPPER "+" CASED_LOWER
                                   R"(*|\p{N})" PUNCTUATION_SLASH NEWLINES_AND_SPACE};
constexpr const char* kGpt4o[] = {CASED_LEAD CASED_UPPER
                                  "*" CASED_LOWER "+" CONTRACTION "?|" CASED_LEAD CASED_UPPER
                                  "+" CASED_LOWER "*" CONTRACTION
                                  R"(?|\p{N}{1,3})" PUNCTUATION_SLASH NEWLINES_AND_SPACE};
constexpr const char* kChameleon[] = {
    "<sentinel:[0-9]+>",       "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
    R"(([\t\n]|    |  ))",     R"(\p{N})",
    R"([\p{P}!-/:-@\[-`{-~])", GPT2};
constexpr const char* kBailing[] = {
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*)"
    R"(|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr const char* kSeedCoder[] = {
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+)" NEWLINES_AND_SPACE};
constexpr const char* kUfakzeka[] = {
    R"([^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" PUNCTUATION NEWLINES_AND_SPACE};
constexpr const char* kMinicpm5[] = {
    R"(\p{N}{1,3})",
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+)" PUNCTUATION NEWLINES_AND_SPACE};
constexpr const char* kLaguna[] = {
    R"([^\n]+|[\n]+)",
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})" PUNCTUATION NEWLINES_AND_SPACE};
constexpr const char* kExaoneMoe[] = {
    CONTRACTION R"(|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N})"
                R"(| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr const char* kDeepseekCoder[] = {
    R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
    R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)", R"(\p{N})"};
constexpr const char* kDeepseekV3[] = {R"(\p{N}{1,3})", KANA_AND_HAN, DEEPSEEK_WORDS};
constexpr const char* kYoutu[] = {
    R"([\x{ac00}-\x{d7a3}\x{3131}-\x{318e}]+|)"
    R"([\x{ff01}\x{2026}\x{201c}\x{201d}\x{2018}\x{2019}\x{2014}\x{ff1a}\x{ff1b}\x{ff0c})"
    R"(\x{3001}-\x{303f}\x{fe30}-\x{fe4f}]+|[\x{3105}-\x{312f}]+|)" KANA_AND_HAN,
    CASED_LEAD CASED_UPPER "*" CASED_LOWER "+" CONTRACTION "?|" CASED_LEAD CASED_UPPER
                           "+" CASED_LOWER "*" CONTRACTION
                           R"(?|\p{N})" PUNCTUATION_SLASH NEWLINES_AND_SPACE};
// Letters of scripts that have cases.
constexpr const char* kDeepseekLlm[] = {
    R"([\r\n])",
    R"(\s?[)"
    R"(A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293})"
    R"(\x{295}-\x{2af}\x{370}-\x{373}\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386})"
    R"(\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}\x{48a}-\x{52f})"
    R"(\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba})"
    R"(\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a})"
    R"(\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d})"
    R"(\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4})"
    R"(\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3})"
    R"(\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107})"
    R"(\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}\x{2128}\x{212a}-\x{212d})"
    R"(\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184})"
    R"(\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d})"
    R"(\x{a680}-\x{a69b}\x{a722}-\x{a76f}\x{a771}-\x{a787}\x{a78b}-\x{a78e})"
    R"(\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}\x{ff21}-\x{ff3a})"
    R"(\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb})"
    R"(\x{10c80}-\x{10cb2}\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943})"
    R"(]+)",
    R"(\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+)",
    R"(\s+$)",
    R"([\x{4e00}-\x{9fa5}\x{800}-\x{4e00}\x{ac00}-\x{d7ff}]+)",
    R"(\p{N}+)"};

#undef CONTRACTION
#undef NEWLINES_AND_SPACE
#undef GPT2
#undef CASED_UPPER
#undef CASED_LOWER
#undef CASED_LEAD
#undef PUNCTUATION
#undef PUNCTUATION_SLASH
#undef KANA_AND_HAN
#undef DEEPSEEK_WORDS

// Among kinds with the same regexes, the one that stands first is what an unnamed tokenizer gets.
constexpr PreKind kKinds[] = {
    {.name = "default", .regexes = kDefault},
    {.name = "llama-bpe", .regexes = kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama3", .regexes = kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "llama-v3", .regexes = kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "falcon3", .regexes = kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "falcon-h1", .regexes = kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "pixtral", .regexes = kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "midm-2.0", .regexes = kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "lfm2", .regexes = kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "jina-v5-nano", .regexes = kLlama3, .ignore_merges = true, .add_bos = true},
    {.name = "dbrx", .regexes = kLlama3},
    {.name = "smaug-bpe", .regexes = kLlama3},
    {.name = "chatglm-bpe", .regexes = kLlama3},
    {.name = "glm4", .regexes = kLlama3, .ignore_merges = true},
    {.name = "glm5", .regexes = kLlama3, .ignore_merges = true},
    {.name = "qwen2", .regexes = kQwen2},
    {.name = "deepseek-r1-qwen", .regexes = kQwen2},
    {.name = "kormo", .regexes = kQwen2},
    {.name = "f2llmv2", .regexes = kQwen2},
    {.name = "megrez", .regexes = kQwen2},
    {.name = "stablelm2", .regexes = kQwen2},
    {.name = "hunyuan", .regexes = kQwen2},
    {.name = "solar-open", .regexes = kQwen2},
    {.name = "grok-2", .regexes = kQwen2},
    {.name = "qwen35", .regexes = kQwen35},
    {.name = "gpt-2", .regexes = kGpt2},
    {.name = "phi-2", .regexes = kGpt2},
    {.name = "jina-es", .regexes = kGpt2},
    {.name = "jina-de", .regexes = kGpt2},
    {.name = "gigachat", .regexes = kGpt2},
    {.name = "jina-v2-es", .regexes = kGpt2},
    {.name = "jina-v2-de", .regexes = kGpt2},
    {.name = "a.x-4.0", .regexes = kGpt2},
    {.name = "mellum", .regexes = kGpt2},
    {.name = "modern-bert", .regexes = kGpt2},
    {.name = "exaone4", .regexes = kGpt2},
    {.name = "mpt", .regexes = kGpt2},
    {.name = "olmo", .regexes = kGpt2},
    {.name = "jais", .regexes = kGpt2},
    {.name = "trillion", .regexes = kGpt2},
    {.name = "granite-docling", .regexes = kGpt2},
    {.name = "roberta-bpe", .regexes = kGpt2, .add_sep = true},
    {.name = "jina-v1-en", .regexes = kGpt2, .add_sep = true},
    {.name = "jina-v2-code", .regexes = kGpt2, .add_sep = true},
    {.name = "smollm", .regexes = kStarcoder},
    {.name = "starcoder", .regexes = kStarcoder},
    {.name = "refact", .regexes = kStarcoder},
    {.name = "command-r", .regexes = kStarcoder},
    {.name = "codeshell", .regexes = kStarcoder},
    {.name = "exaone", .regexes = kStarcoder},
    {.name = "minerva-7b", .regexes = kStarcoder},
    {.name = "mellum2", .regexes = kStarcoder},
    {.name = "falcon", .regexes = kFalcon},
    {.name = "bloom", .regexes = kBloom},
    {.name = "poro-chat", .regexes = kBloom},
    {.name = "gpt3-finnish", .regexes = kBloom},
    {.name = "viking", .regexes = kViking},
    {.name = "tekken", .regexes = kTekken, .ignore_merges = true, .add_bos = true},
    {.name = "gpt-4o", .regexes = kGpt4o},
    {.name = "llama4", .regexes = kGpt4o},
    {.name = "kanana2", .regexes = kGpt4o},
    {.name = "talkie", .regexes = kGpt4o},
    {.name = "minimax-m2", .regexes = kGpt4o},
    {.name = "chameleon", .regexes = kChameleon, .add_bos = true},
    {.name = "bailingmoe", .regexes = kBailing},
    {.name = "bailingmoe2", .regexes = kBailing},
    {.name = "llada-moe", .regexes = kBailing},
    {.name = "seed-coder", .regexes = kSeedCoder},
    {.name = "ufakzeka", .regexes = kUfakzeka},
    {.name = "minicpm5", .regexes = kMinicpm5, .ignore_merges = true},
    {.name = "laguna", .regexes = kLaguna},
    {.name = "exaone-moe", .regexes = kExaoneMoe},
    {.name = "deepseek-llm", .regexes = kDeepseekLlm},
    {.name = "deepseek-coder", .regexes = kDeepseekCoder},
    {.name = "deepseek-v3", .regexes = kDeepseekV3},
    {.name = "hunyuan-dense", .regexes = kDeepseekV3},
    {.name = "joyai-llm", .regexes = kDeepseekV3},
    {.name = "hy_v4", .regexes = kDeepseekV3},
    {.name = "youtu", .regexes = kYoutu, .ignore_merges = true},
};

}  // namespace

std::span<const PreKind> pre_kinds() { return kKinds; }

const PreKind* find_pre_kind(std::string_view name) {
  const auto* found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                   [&](const PreKind& k) { return k.name == name; });
  return found == std::end(kKinds) ? nullptr : found;
}

Result<PreTokenizer> pre_tokenizer_of(const PreKind& kind) {
  std::vector<PreTokenizerStep> steps;
  for (const char* pattern : kind.regexes) {
    PARE_ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern));
    steps.emplace_back(SplitStep{std::move(regex)});
  }
  steps.emplace_back(ByteLevelStep{});
  return PreTokenizer(std::move(steps));
}

}  // namespace pare
