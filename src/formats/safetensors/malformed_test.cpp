// The ways to abuse the format, each with its nearest neighbour that is right.

#include "formats/safetensors/reader.h"
#include "formats/test_support.h"

namespace pare::safetensors {
namespace {

using testing_support::Bytes;
using testing_support::expect_error;
using testing_support::TempDirectory;

std::string file_bytes(std::string_view header, size_t data) {
  return Bytes().u64(header.size()).raw(header).zeros(data).str();
}

Result<std::shared_ptr<const File>> parse(std::string bytes) {
  return File::parse(MappedFile::from_bytes("test.safetensors", std::move(bytes)));
}

struct Case {
  const char* name;
  std::string header;
  size_t data;
  const char* error;  // null: the file is right
  StatusCode code = StatusCode::kCorrupt;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto file = parse(file_bytes(c.header, c.data));
    if (c.error == nullptr) {
      EXPECT_TRUE(file.ok()) << file.status().message();
    } else {
      expect_error(file, c.code, c.error);
      EXPECT_TRUE(file.ok() || file.status().message().starts_with("test.safetensors: "));
    }
  }
}

std::string tensor(const char* name, const char* dtype, const char* shape, const char* offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape,
                     offsets);
}
std::string object(const std::string& members) { return "{" + members + "}"; }

TEST(SafetensorsMalformedTest, LengthOfTheHeader) {
  expect_error(parse(""), StatusCode::kCorrupt, "the header's length needs 8 bytes");
  expect_error(parse("1234567"), StatusCode::kCorrupt, "only 7 are left");
  expect_error(parse(Bytes().u64(3).raw("{}").str()), StatusCode::kCorrupt,
               "the header needs 3 bytes, only 2 are left");
  expect_error(parse(Bytes().u64(UINT64_MAX).raw("{}").str()), StatusCode::kCorrupt,
               "a header of 18446744073709551615 bytes, at most 100000000");
  expect_error(parse(Bytes().u64(100'000'001).raw("{}").str()), StatusCode::kCorrupt,
               "at most 100000000");
  expect_error(parse(Bytes().u64(0).str()), StatusCode::kCorrupt, "does not begin with {");
}

TEST(SafetensorsMalformedTest, Json) {
  const std::string t = tensor("t", "F32", "[2]", "[0,8]");
  check({
      {"right", object(t), 8, nullptr},
      {"no tensors", "{}", 0, nullptr},
      {"spaces after", object(t) + "   ", 8, nullptr},
      {"spaces before", std::string(" ").append(object(t)), 8, "does not begin with {"},
      {"something after", object(t) + "x", 8, "not JSON at byte"},
      {"zero after", object(t) + std::string(1, '\0'), 8, "not JSON"},
      {"an array", "[]", 0, "does not begin with {"},
      {"cut off", "{" + t, 8, "not JSON"},
      {"comma at the end", "{" + t + ",}", 8, "not JSON"},
      {"not UTF-8", "{\"\xff\":1}", 0, "not JSON"},
      {"name twice", object(t + "," + t), 8, "the name t occurs twice"},
      {"name twice, once escaped", object(t + "," + tensor("\\u0074", "F32", "[2]", "[0,8]")), 8,
       "the name t occurs twice"},
      {"dtype twice", R"({"t":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}})", 8,
       "tensor t: dtype occurs twice"},
      {"offsets twice",
       R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"data_offsets":[0,4]}})", 8,
       "data_offsets occurs twice"},
      {"unknown key", R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"strides":[1]}})", 8,
       "the key \"strides\" is unknown"},
      {"no dtype", R"({"t":{"shape":[2],"data_offsets":[0,8]}})", 8, "tensor t: dtype is missing"},
      {"no shape", R"({"t":{"dtype":"F32","data_offsets":[0,8]}})", 8, "shape is missing"},
      {"no offsets", R"({"t":{"dtype":"F32","shape":[2]}})", 8, "data_offsets is missing"},
      {"a tensor is a number", R"({"t":1})", 0, "a number where it cannot be"},
      {"a tensor is null", R"({"t":null})", 0, "null where it cannot be"},
      {"an object for a shape", R"({"t":{"dtype":"F32","shape":{},"data_offsets":[0,8]}})", 8,
       "tensor t: an object where it cannot be"},
      {"dtype is a number", R"({"t":{"dtype":1,"shape":[2],"data_offsets":[0,8]}})", 8,
       "a number where it cannot be"},
      {"array in an array", R"({"t":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})", 8,
       "an array where it cannot be"},
      {"very deep", R"({"t":)" + std::string(1'000'000, '['), 0, "an array where it cannot be"},
      {"empty name", object(tensor("", "F32", "[2]", "[0,8]")), 8, "name is empty"},
      {"name with an escape", object(tensor("a\\u001b[2J", "F32", "[2]", "[0,8]")), 8,
       "control characters"},
      {"metadata", object(R"("__metadata__":{"format":"pt"},)" + t), 8, nullptr},
      {"metadata twice", object(R"("__metadata__":{},"__metadata__":{},)" + t), 8,
       "__metadata__ occurs twice"},
      {"metadata key twice", object(R"("__metadata__":{"a":"1","a":"2"},)" + t), 8,
       "the key \"a\" occurs twice"},
      {"metadata is not text", object(R"("__metadata__":{"a":1},)" + t), 8,
       "a number where it cannot be"},
      {"metadata is nested", object(R"("__metadata__":{"a":{}},)" + t), 8,
       "an object where it cannot be"},
  });
}

TEST(SafetensorsMalformedTest, Tensors) {
  const auto one = [](const char* dtype, const char* shape, const char* offsets) {
    return object(tensor("t", dtype, shape, offsets));
  };
  const auto two = [](const char* a, const char* b) {
    return object(tensor("a", "F32", "[2]", a) + "," + tensor("b", "F32", "[2]", b));
  };
  check({
      {"scalar", one("F32", "[]", "[0,4]"), 4, nullptr},
      {"empty", one("F32", "[0,7]", "[0,0]"), 0, nullptr},
      {"unknown dtype", one("F31", "[2]", "[0,8]"), 8, "dtype \"F31\" is unknown"},
      {"lower case dtype", one("f32", "[2]", "[0,8]"), 8, "dtype \"f32\" is unknown"},
      {"negative extent", one("F32", "[-2]", "[0,8]"), 8, "a negative number"},
      {"fraction", one("F32", "[2.0]", "[0,8]"), 8, "a fraction"},
      {"exponent", one("F32", "[2e0]", "[0,8]"), 8, "a fraction"},
      {"extent beyond 64 bits", one("F32", "[99999999999999999999]", "[0,8]"), 8, "a fraction"},
      {"extent beyond 63 bits", one("U8", "[18446744073709551615]", "[0,8]"), 8,
       "more elements than can be counted"},
      {"product overflows", one("U8", "[4294967296,4294967296]", "[0,0]"), 0,
       "more elements than can be counted"},
      {"product overflows before a zero", one("U8", "[4294967296,4294967296,0]", "[0,0]"), 0,
       "more elements than can be counted"},
      {"product wraps to the right size", one("U8", "[4294967296,4294967296,8]", "[0,8]"), 8,
       "more elements than can be counted"},
      {"bits overflow", one("F64", "[4611686018427387904]", "[0,0]"), 0,
       "more bytes than can be counted"},
      {"too small for its shape", one("F32", "[2]", "[0,7]"), 7, "takes 8 bytes"},
      {"too large for its shape", one("F32", "[2]", "[0,9]"), 9, "takes 8 bytes"},
      {"end before begin", one("F32", "[2]", "[8,0]"), 8, "takes 8 bytes"},
      {"one offset", one("F32", "[2]", "[8]"), 8, "needs 2 numbers"},
      {"three offsets", one("F32", "[2]", "[0,8,8]"), 8, "more than 2 numbers"},
      {"rank 7", one("F32", "[1,1,1,1,1,1,1]", "[0,4]"), 4, "shape has more than 6 numbers"},
      {"half a byte", one("F4", "[3]", "[0,1]"), 1, "not a whole number of bytes"},
      {"two halves", one("F4", "[4]", "[0,2]"), 2, nullptr},
      {"in order", two("[0,8]", "[8,16]"), 16, nullptr},
      {"in the other order", two("[8,16]", "[0,8]"), 16, nullptr},
      {"overlap", two("[0,8]", "[4,12]"), 12, "tensor b: begins at 4, expected 8"},
      {"the same bytes", two("[0,8]", "[0,8]"), 8, "expected 8"},
      {"hole", two("[0,8]", "[9,17]"), 17, "tensor b: begins at 9, expected 8"},
      {"hole at the start", two("[1,9]", "[9,17]"), 17, "tensor a: begins at 1, expected 0"},
      {"hole at the end", two("[0,8]", "[8,16]"), 17, "tensors take 16 bytes, but 17 follow"},
      {"beyond the end", two("[0,8]", "[8,16]"), 15, "tensors take 16 bytes, but 15 follow"},
      {"offset beyond 63 bits", one("F32", "[0]", "[18446744073709551615,18446744073709551615]"), 0,
       "begins at 18446744073709551615, expected 0"},
      {"data without tensors", "{}", 1, "tensors take 0 bytes, but 1 follow"},
  });
}

TEST(SafetensorsMalformedTest, EveryTruncationIsAnError) {
  const std::string whole = file_bytes(object(tensor("t", "F32", "[2]", "[0,8]")), 8);
  ASSERT_OK(parse(whole));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse(whole.substr(0, size)).ok()) << "cut to " << size << " bytes";
  }
}

TEST(SafetensorsMalformedTest, DtypesWithoutACodecAreListedAndRefusedWhenRead) {
  for (const char* dtype : {"U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"}) {
    SCOPED_TRACE(dtype);
    const auto file = parse(file_bytes(object(tensor("t", dtype, "[8]", "[0,8]")), 8));
    ASSERT_OK(file);
    EXPECT_EQ((*file)->tensors()[0].bytes, 8u);
    EXPECT_EQ((*file)->raw(0).size(), 8u);
    EXPECT_STREQ(dtype_info((*file)->dtype(0)).name, dtype);
    expect_error((*file)->read(0), StatusCode::kUnsupported,
                 fmt::format("tensor t: dtype {} cannot be decoded", dtype));
  }
}

TEST(SafetensorsMalformedTest, Index) {
  TempDirectory d;
  const std::string a = file_bytes(object(tensor("a", "F32", "[2]", "[0,8]")), 8);
  d.write("a.safetensors", a);
  d.write("sub/b.safetensors", file_bytes(object(tensor("b", "F32", "[2]", "[0,8]")), 8));
  const auto open = [&](std::string_view index) {
    return File::open_index(d.write("model.safetensors.index.json", index));
  };
  const auto right = open(R"({"weight_map":{"a":"a.safetensors","b":"sub/b.safetensors"}})");
  ASSERT_OK(right);
  EXPECT_EQ((*right)->tensors().size(), 2u);
  EXPECT_EQ((*right)->parts(), 2u);

  expect_error(open("{"), StatusCode::kCorrupt, "bad JSON");
  expect_error(open("[]"), StatusCode::kCorrupt, "no weight_map");
  expect_error(open(R"({"weight_map":[]})"), StatusCode::kCorrupt, "no weight_map");
  expect_error(open(R"({"weight_map":{"a":1}})"), StatusCode::kCorrupt, "expected a file name");
  expect_error(open(R"({"weight_map":{"a":"a.safetensors","a":"b"}})"), StatusCode::kCorrupt,
               "occurs twice");
  expect_error(open(R"({"weight_map":{"b":"a.safetensors"}})"), StatusCode::kCorrupt,
               "tensor b is not in a.safetensors");
  expect_error(open(R"({"weight_map":{"a":"x.safetensors","b":"y.safetensors"}})"),
               StatusCode::kNotFound, "x.safetensors, y.safetensors");
  for (const char* path :
       {"../a.safetensors", "sub/../../a.safetensors", "/etc/passwd", "", "..\\\\a", "a\\u0000b"}) {
    SCOPED_TRACE(path);
    expect_error(open(fmt::format(R"({{"weight_map":{{"a":"{}"}}}})", path)), StatusCode::kCorrupt,
                 "leads out of the directory");
  }
}

}  // namespace
}  // namespace pare::safetensors
