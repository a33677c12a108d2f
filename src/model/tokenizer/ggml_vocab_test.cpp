// The token vectors that llama.cpp keeps for its vocabularies. They are not in this repository:
// the tests run where ../shared has them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "formats/gguf/reader.h"
#include "model/tokenizer/tokenizer.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

fs::path vocab_dir() {
  return fs::path(PARE_SOURCE_DIR) / "../shared/data/tokenizers/ggml-vocab/models";
}

std::vector<std::string> texts_of(const std::string& all) {
  static const std::string kSeparator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  size_t begin = 0;
  for (size_t end; (end = all.find(kSeparator, begin)) != std::string::npos;) {
    texts.push_back(all.substr(begin, end - begin));
    begin = end + kSeparator.size();
  }
  return texts;
}

std::vector<std::vector<int32_t>> ids_of(const std::string& all) {
  std::vector<std::vector<int32_t>> ids;
  std::istringstream lines(all);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    ids.emplace_back();
    for (int32_t id; numbers >> id;) ids.back().push_back(id);
  }
  return ids;
}

Result<std::shared_ptr<const Tokenizer>> load(const fs::path& path) {
  PARE_ASSIGN_OR_RETURN(auto file, gguf::File::open(path.string()));
  return Tokenizer::from_gguf(file->metadata());
}

class GgmlVocab : public testing::TestWithParam<const char*> {};

TEST_P(GgmlVocab, EncodesAsTheVectorsSay) {
  if (!fs::is_directory(vocab_dir())) GTEST_SKIP() << "no ../shared/data/tokenizers";
  const fs::path path = vocab_dir() / (std::string("ggml-vocab-") + GetParam() + ".gguf");
  const auto tokenizer = load(path);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  const auto texts = texts_of(read_text(path.string() + ".inp").value());
  const auto expected = ids_of(read_text(path.string() + ".out").value());
  ASSERT_GT(texts.size(), 40u);
  ASSERT_EQ(texts.size(), expected.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto ids = (*tokenizer)->encode(texts[i], {.add_special = false, .parse_special = false});
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    EXPECT_EQ(*ids, expected[i]) << "text " << i << ": " << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GgmlVocab,
                         testing::Values("bert-bge", "deepseek-coder", "deepseek-llm", "falcon",
                                         "gpt-2", "llama-spm", "mpt", "phi-3", "refact",
                                         "starcoder"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Every vocabulary of the folder loads, also those that have no vectors.
TEST(GgmlVocabFiles, AllLoad) {
  if (!fs::is_directory(vocab_dir())) GTEST_SKIP() << "no ../shared/data/tokenizers";
  for (const auto& entry : fs::directory_iterator(vocab_dir())) {
    if (entry.path().extension() != ".gguf") continue;
    const auto tokenizer = load(entry.path());
    EXPECT_TRUE(tokenizer.ok()) << entry.path() << ": " << tokenizer.status().message();
  }
}

}  // namespace
}  // namespace pare
