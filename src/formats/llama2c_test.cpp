#include "formats/llama2c.h"

#include "formats/open.h"
#include "formats/test_support.h"

namespace pare {
namespace {

using testing_support::Bytes;
using testing_support::expect_error;
using testing_support::TempDirectory;
using testing_support::text_of;

// dim 4, FFN 6, 2 blocks, 2 heads, 1 kv head, 3 tokens, 5 positions; every float counts up.
Bytes checkpoint(bool tied) {
  Bytes b;
  for (int32_t n : {4, 6, 2, 2, 1, tied ? 3 : -3, 5}) b.number(n);
  const int floats =
      3 * 4 + 2 * (4 + 16 + 8 + 8 + 16 + 4 + 24 + 24 + 24) + 4 + 5 * 2 + (tied ? 0 : 12);
  for (int i = 0; i < floats; ++i) b.number(static_cast<float>(i));
  return b;
}

Bytes vocabulary() {
  Bytes b;
  b.number(int32_t{7});
  const std::pair<float, std::string_view> tokens[] = {
      {0.0f, "<unk>"}, {0.0f, "\n<s>\n"}, {-1.5f, " hi"}};
  for (const auto& [score, text] : tokens) {
    b.number(score).u32(static_cast<uint32_t>(text.size())).raw(text);
  }
  return b;
}

std::shared_ptr<const MappedFile> mapped(const Bytes& b) {
  return MappedFile::from_bytes("m.bin", b.str());
}

float first(const llama2c::File& file, const char* name) {
  const auto tensor = file.read(static_cast<size_t>(file.find(name)));
  float value;
  std::memcpy(&value, tensor->bytes.data(), sizeof(value));
  return value;
}

TEST(Llama2cTest, TensorsLieWhereTheFormatPutsThem) {
  const auto file = llama2c::File::parse(mapped(checkpoint(false)), mapped(vocabulary()));
  ASSERT_OK(file);
  const auto& f = **file;
  EXPECT_EQ(f.tensors().size(), 3u + 2 * 9);
  EXPECT_EQ(first(f, "token_embd.weight"), 0.0f);
  EXPECT_EQ(first(f, "blk.0.attn_norm.weight"), 12.0f);
  EXPECT_EQ(first(f, "blk.1.attn_norm.weight"), 16.0f);
  EXPECT_EQ(first(f, "blk.0.attn_q.weight"), 20.0f);
  EXPECT_EQ(first(f, "blk.0.attn_k.weight"), 52.0f);
  EXPECT_EQ(first(f, "blk.1.attn_k.weight"), 60.0f);
  EXPECT_EQ(first(f, "blk.0.attn_v.weight"), 68.0f);
  EXPECT_EQ(first(f, "blk.0.attn_output.weight"), 84.0f);
  EXPECT_EQ(first(f, "blk.0.ffn_norm.weight"), 116.0f);
  EXPECT_EQ(first(f, "blk.0.ffn_gate.weight"), 124.0f);
  EXPECT_EQ(first(f, "blk.0.ffn_down.weight"), 172.0f);
  EXPECT_EQ(first(f, "blk.0.ffn_up.weight"), 220.0f);
  EXPECT_EQ(first(f, "output_norm.weight"), 268.0f);
  EXPECT_EQ(first(f, "output.weight"), 282.0f);
  EXPECT_EQ(f.tensors()[static_cast<size_t>(f.find("blk.0.ffn_down.weight"))].shape, (Shape{4, 6}));
  EXPECT_EQ(*f.metadata().get_u32("llama.attention.head_count_kv"), 1u);
  EXPECT_EQ(*f.metadata().get_u32("llama.vocab_size"), 3u);
  const auto tokens = *f.metadata().get_strings("tokenizer.ggml.tokens");
  EXPECT_EQ(tokens.string(1), "<s>");
  EXPECT_EQ(tokens.string(2), "</s>");
  EXPECT_EQ(*f.metadata().get_ints("tokenizer.ggml.token_type"), (std::vector<int64_t>{2, 3, 3}));
}

TEST(Llama2cTest, SizesThatDoNotFitAreRefused) {
  Bytes longer = checkpoint(true);
  longer.zeros(1);
  expect_error(llama2c::File::parse(mapped(longer), nullptr), StatusCode::kCorrupt, "header asks");
  expect_error(llama2c::File::parse(mapped(Bytes().zeros(100)), nullptr), StatusCode::kCorrupt,
               "not a llama2.c checkpoint");
  Bytes huge;
  for (int i = 0; i < 7; ++i) huge.number(int32_t{1} << 22);
  EXPECT_FALSE(llama2c::File::parse(mapped(huge), nullptr).ok());
  expect_error(llama2c::File::parse(mapped(checkpoint(true)), mapped(vocabulary().u8(0))),
               StatusCode::kCorrupt, "1 bytes follow the last of 3 tokens");
  Bytes cut;
  cut.raw(std::string_view(vocabulary().str()).substr(0, 20));
  expect_error(llama2c::File::parse(mapped(checkpoint(true)), mapped(cut)), StatusCode::kCorrupt,
               "a token's score needs 4 bytes");
}

TEST(Llama2cTest, RealModel) {
  const std::string path =
      std::string(PARE_SOURCE_DIR) + "/../shared/models/stories260K/stories260K.bin";
  if (!file_exists(path)) GTEST_SKIP() << "needs " << path;
  const auto file = llama2c::File::open(path);
  ASSERT_OK(file);
  EXPECT_EQ((*file)->tensors().size(), 2u + 5 * 9);
  const auto tokens = (*file)->metadata().get_strings("tokenizer.ggml.tokens");
  ASSERT_OK(tokens);
  ASSERT_EQ(tokens->size(), 512u);
  EXPECT_EQ(tokens->string(3), "<0x00>");
  EXPECT_EQ(tokens->string(258), "<0xFF>");
  EXPECT_EQ((*(*file)->metadata().get_ints("tokenizer.ggml.token_type"))[258], 6);
  EXPECT_EQ(tokens->string(259), "\u2581t");
  EXPECT_EQ(*detect_form(path), ModelForm::kLlama2c);
}

TEST(DetectFormTest, ByContent) {
  TempDirectory d;
  EXPECT_EQ(*detect_form(d.path()), ModelForm::kHfDirectory);
  EXPECT_EQ(*detect_form(d.write("a", "GGUF")), ModelForm::kGguf);
  EXPECT_EQ(*detect_form(d.write("b.gguf", Bytes().u64(2).raw("{}").str())),
            ModelForm::kSafetensors);
  EXPECT_EQ(*detect_form(d.write("c", checkpoint(true).str())), ModelForm::kLlama2c);
  expect_error(detect_form(d.write("d", "PK\x03\x04...")), StatusCode::kUnsupported, "zip archive");
  expect_error(detect_form(d.write("e", "\x80\x02}q")), StatusCode::kUnsupported, "pickle");
  expect_error(detect_form(d.write("f", "tjgg....")), StatusCode::kUnsupported, "GGJT");
  expect_error(detect_form(d.write("g", "")), StatusCode::kUnsupported, "not a model");
  expect_error(detect_form(d.write("m.onnx", "x")), StatusCode::kUnsupported, "ONNX");
  expect_error(detect_form(d.file("none")), StatusCode::kNotFound, "none");
}

}  // namespace
}  // namespace pare
