// Files that are wrong in one way each, and their nearest neighbours that are right.

#include <functional>

#include "formats/gguf/reader.h"
#include "formats/test_support.h"

namespace pare::gguf {
namespace {

using testing_support::Bytes;
using testing_support::expect_error;
using testing_support::TempDirectory;

constexpr uint32_t kF32 = 0, kF16 = 1, kQ4_0 = 2, kRemoved = 4, kI64 = 27;
constexpr uint32_t kU8T = 0, kU32T = 4, kI32T = 5, kBoolT = 7, kStringT = 8, kArrayT = 9;

class GgufBytes : public Bytes {
 public:
  GgufBytes& header(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
    raw("GGUF").u32(version).u64(tensors).u64(entries);
    return *this;
  }
  GgufBytes& text(std::string_view s) {
    u64(s.size()).raw(s);
    return *this;
  }
  GgufBytes& key(std::string_view name, uint32_t type) {
    text(name).u32(type);
    return *this;
  }
  GgufBytes& u32_entry(std::string_view name, uint32_t value) {
    key(name, kU32T).u32(value);
    return *this;
  }
  // Extents as in the file: fastest first.
  GgufBytes& tensor(std::string_view name, std::vector<int64_t> extents, uint32_t type,
                    uint64_t offset) {
    text(name).u32(static_cast<uint32_t>(extents.size()));
    for (int64_t n : extents) number(n);
    u32(type).u64(offset);
    return *this;
  }
};

Result<std::shared_ptr<const File>> parse(const Bytes& bytes) {
  return File::parse(MappedFile::from_bytes("test.gguf", bytes.str()));
}

struct Case {
  const char* name;
  std::function<void(GgufBytes&)> build;
  const char* error;  // null: the file is right
  StatusCode code = StatusCode::kCorrupt;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    GgufBytes bytes;
    c.build(bytes);
    const auto file = parse(bytes);
    if (c.error == nullptr) {
      EXPECT_TRUE(file.ok()) << file.status().message();
    } else {
      expect_error(file, c.code, c.error);
      EXPECT_TRUE(file.ok() || file.status().message().starts_with("test.gguf: "));
    }
  }
}

TEST(GgufMalformedTest, Header) {
  check({
      {"empty file", [](auto&) {}, "the magic number needs 4 bytes, only 0 are left"},
      {"bad magic", [](auto& b) { b.raw("GGML").zeros(20); }, "not a GGUF file"},
      {"version 0", [](auto& b) { b.header(0, 0, 0); }, "version 0", StatusCode::kUnsupported},
      {"version 1", [](auto& b) { b.header(0, 0, 1); }, "version 1", StatusCode::kUnsupported},
      {"version 2", [](auto& b) { b.header(0, 0, 2); }, nullptr},
      {"version 4", [](auto& b) { b.header(0, 0, 4); }, "version 4", StatusCode::kUnsupported},
      {"big-endian", [](auto& b) { b.header(0, 0, 0x03000000); }, "big-endian",
       StatusCode::kUnsupported},
      {"no counts", [](auto& b) { b.raw("GGUF").u32(3); }, "the tensor count needs 8 bytes"},
      {"more tensors than can be", [](auto& b) { b.header(uint64_t{1} << 60, 0); },
       "1152921504606846976 tensors cannot fit"},
      {"more keys than can be", [](auto& b) { b.header(0, uint64_t{1} << 60); },
       "1152921504606846976 metadata keys cannot fit"},
      {"all-ones counts", [](auto& b) { b.header(UINT64_MAX, UINT64_MAX).zeros(100); },
       "cannot fit"},
      {"nothing in it", [](auto& b) { b.header(0, 0); }, nullptr},
  });
}

TEST(GgufMalformedTest, Metadata) {
  const auto one = [](std::function<void(GgufBytes&)> entry) {
    return [entry](GgufBytes& b) {
      b.header(0, 1);
      entry(b);
    };
  };
  check({
      {"key longer than the file", one([](auto& b) { b.u64(1000).zeros(20); }),
       "a metadata key needs 1000 bytes"},
      {"key length all ones", one([](auto& b) { b.u64(UINT64_MAX).zeros(20); }),
       "a metadata key needs 18446744073709551615 bytes"},
      {"empty key", one([](auto& b) { b.u32_entry("", 1).zeros(1); }), "a metadata key is empty"},
      {"key with a newline", one([](auto& b) { b.u32_entry("a\nb", 1); }), "control characters"},
      {"key of 65536 bytes", one([](auto& b) { b.u32_entry(std::string(65536, 'k'), 1); }),
       "at most 65535 are allowed"},
      {"key of 65535 bytes", one([](auto& b) { b.u32_entry(std::string(65535, 'k'), 1); }),
       nullptr},
      {"unknown type", one([](auto& b) { b.key("k", 13).u64(0); }),
       "metadata key k: value type 13"},
      {"value cut off", one([](auto& b) { b.key("key", kU32T).u8(0); }), "needs 4 bytes"},
      {"string longer than the file", one([](auto& b) { b.key("k", kStringT).u64(1u << 30); }),
       "needs 1073741824 bytes"},
      {"truth value 2", one([](auto& b) { b.key("flag", kBoolT).u8(2); }), "truth value 2"},
      {"truth value 1", one([](auto& b) { b.key("flag", kBoolT).u8(1); }), nullptr},
      {"truth value 2 in an array",
       one([](auto& b) { b.key("k", kArrayT).u32(kBoolT).u64(2).u8(1).u8(2); }), "neither 0 nor 1"},
      {"array of unknown type", one([](auto& b) { b.key("k", kArrayT).u32(99).u64(0); }),
       "value type 99"},
      {"array of arrays", one([](auto& b) { b.key("k", kArrayT).u32(kArrayT).u64(0); }),
       "arrays of arrays", StatusCode::kUnsupported},
      {"array longer than the file",
       one([](auto& b) { b.key("k", kArrayT).u32(kU32T).u64(uint64_t{1} << 62).u32(0); }),
       "cannot fit in the 4 bytes left"},
      {"strings more than the file holds",
       one([](auto& b) { b.key("k", kArrayT).u32(kStringT).u64(uint64_t{1} << 61).u64(0); }),
       "cannot fit in the 8 bytes left"},
      {"last string cut off",
       one([](auto& b) { b.key("k", kArrayT).u32(kStringT).u64(2).u64(0).u64(1); }),
       "needs 1 bytes, only 0 are left"},
      {"array without elements", one([](auto& b) { b.key("k", kArrayT).u32(kU8T).u64(0); }),
       nullptr},
      {"key twice", [](auto& b) { b.header(0, 2).u32_entry("same", 1).u32_entry("same", 1); },
       "metadata key same occurs twice"},
      {"alignment 0", one([](auto& b) { b.u32_entry("general.alignment", 0); }),
       "general.alignment is 0, expected a power of two"},
      {"alignment 13", one([](auto& b) { b.u32_entry("general.alignment", 13); }),
       "expected a power of two"},
      {"alignment as i32", one([](auto& b) { b.key("general.alignment", kI32T).u32(32); }),
       "found i32, expected u32"},
      {"alignment 2^31", one([](auto& b) { b.u32_entry("general.alignment", 1u << 31); }),
       "expected a power of two up to 2097152"},
      {"alignment 64", one([](auto& b) { b.u32_entry("general.alignment", 64); }), nullptr},
  });
}

TEST(GgufMalformedTest, TensorInfos) {
  const auto one = [](std::function<void(GgufBytes&)> tensor, size_t data) {
    return [tensor, data](GgufBytes& b) {
      b.header(1, 0);
      tensor(b);
      b.pad(32).zeros(data);
    };
  };
  const int64_t big = int64_t{1} << 62;
  check({
      {"right",
       one(
           [](auto& b) {
             b.tensor("t", {4, 2}, kF32, 0);
           },
           32),
       nullptr},
      {"empty name", one([](auto& b) { b.tensor("", {4}, kF32, 0); }, 32), "tensor name is empty"},
      {"name of 1025 bytes",
       one([](auto& b) { b.tensor(std::string(1025, 'n'), {4}, kF32, 0); }, 32),
       "a tensor name has 1025 bytes, at most 1024"},
      {"name with an escape", one([](auto& b) { b.tensor("a\x1b[2J", {4}, kF32, 0); }, 32),
       "control characters"},
      {"name with a zero",
       one([](auto& b) { b.tensor(std::string_view("a\0b", 3), {4}, kF32, 0); }, 32),
       "control characters"},
      {"five dimensions",
       one(
           [](auto& b) {
             b.tensor("t", {1, 1, 1, 1, 1}, kF32, 0);
           },
           32),
       "tensor t: 5 dimensions, at most 4"},
      {"rank all ones", one([](auto& b) { b.text("t").u32(UINT32_MAX).zeros(32); }, 32),
       "4294967295 dimensions"},
      {"no dimensions: one element", one([](auto& b) { b.tensor("t", {}, kF32, 0); }, 4), nullptr},
      {"negative extent",
       one(
           [](auto& b) {
             b.tensor("t", {4, -1}, kF32, 0);
           },
           32),
       "tensor t: extent -1 is negative"},
      {"zero extent",
       one(
           [](auto& b) {
             b.tensor("t", {4, 0}, kF32, 0);
           },
           0),
       nullptr},
      {"zero columns",
       one(
           [](auto& b) {
             b.tensor("t", {0, 4}, kQ4_0, 0);
           },
           0),
       nullptr},
      {"element count overflows",
       one(
           [=](auto& b) {
             b.tensor("t", {big, 4}, kF32, 0);
           },
           32),
       "more elements than can be counted"},
      {"element count overflows before a zero",
       one(
           [=](auto& b) {
             b.tensor("t", {0, big, 4}, kF32, 0);
           },
           32),
       "more elements than can be counted"},
      {"element count wraps to a small number",
       one(
           [=](auto& b) {
             b.tensor("t", {big, 4, 1, 1}, kF16, 0);
           },
           32),
       "more elements than can be counted"},
      {"byte count overflows", one([=](auto& b) { b.tensor("t", {big}, kI64, 0); }, 32),
       "more bytes than can be counted"},
      {"byte count and padding overflow",
       one([](auto& b) { b.tensor("t", {INT64_MAX}, kF16, 0); }, 32), "do not fit"},
      {"type without a meaning", one([](auto& b) { b.tensor("t", {32}, 1000, 0); }, 32),
       "tensor t: ggml type 1000 is unknown", StatusCode::kUnsupported},
      {"type all ones", one([](auto& b) { b.tensor("t", {32}, UINT32_MAX, 0); }, 32),
       "ggml type 4294967295", StatusCode::kUnsupported},
      {"type that was removed", one([](auto& b) { b.tensor("t", {32}, kRemoved, 0); }, 32),
       "ggml type 4 is unknown", StatusCode::kUnsupported},
      {"row is not whole blocks",
       one(
           [](auto& b) {
             b.tensor("t", {48, 2}, kQ4_0, 0);
           },
           64),
       "tensor t: rows of 48 values do not divide into Q4_0 blocks of 32"},
      {"entry cut off", [](auto& b) { b.header(1, 0).text("t").u32(1).u64(4).u32(kF32).u32(0); },
       "a tensor offset needs 8 bytes"},
      {"name twice",
       [](auto& b) {
         b.header(2, 0).tensor("t", {8}, kF32, 0).tensor("t", {8}, kF32, 32).pad(32).zeros(64);
       },
       "the name t occurs twice"},
  });
}

TEST(GgufMalformedTest, Data) {
  const auto two = [](uint64_t first, uint64_t second, size_t data) {
    return [=](GgufBytes& b) {
      b.header(2, 0).tensor("a", {8}, kF32, first).tensor("b", {10}, kF32, second);
      b.pad(32).zeros(data);
    };
  };
  check({
      {"right", two(0, 32, 72), nullptr},
      {"with the last padding", two(0, 32, 96), nullptr},
      {"in the other order", two(64, 0, 96), nullptr},
      {"one byte short", two(0, 32, 71), "tensor b: 40 bytes at"},
      {"no data", two(0, 32, 0), "do not fit in a file of"},
      {"first is not at 0", two(32, 64, 200), "tensor a: offset 32, expected 0"},
      {"offset is not aligned", two(0, 33, 200), "tensor b: offset 33, expected 32"},
      {"overlap", two(0, 0, 200), "expected"},
      {"hole", two(0, 64, 200), "tensor b: offset 64, expected 32"},
      {"offset beyond everything", two(0, uint64_t{1} << 62, 200), "expected 32"},
      {"offset all ones", two(0, UINT64_MAX, 200), "expected 32"},
      {"offsets follow another alignment",
       [](auto& b) {
         b.header(2, 1).u32_entry("general.alignment", 64);
         b.tensor("a", {8}, kF32, 0).tensor("b", {8}, kF32, 32).pad(64).zeros(200);
       },
       "tensor b: offset 32, expected 64"},
      {"offsets follow the declared alignment",
       [](auto& b) {
         b.header(2, 1).u32_entry("general.alignment", 64);
         b.tensor("a", {8}, kF32, 0).tensor("b", {8}, kF32, 64).pad(64).zeros(96);
       },
       nullptr},
      {"alignment 1",
       [](auto& b) {
         b.header(2, 1).u32_entry("general.alignment", 1);
         b.tensor("a", {1}, kF16, 0).tensor("b", {1}, kF32, 2).zeros(6);
       },
       nullptr},
      {"alignment beyond the file",
       [](auto& b) {
         b.header(1, 1).u32_entry("general.alignment", 1u << 21);
         b.tensor("a", {8}, kF32, 0).pad(32).zeros(200);
       },
       "do not fit in a file of"},
      {"sizes whose sum overflows",
       [](auto& b) {
         b.header(2, 0).tensor("a", {INT64_MAX - 1}, kF16, 0);
         b.tensor("b", {8}, kF32, UINT64_MAX - 31).pad(32).zeros(200);
       },
       "tensor a: 18446744073709551612 bytes at"},
  });
}

// Cut anywhere, a file is refused and nothing is read beyond its end (the sanitizers watch).
TEST(GgufMalformedTest, EveryTruncationIsAnError) {
  GgufBytes b;
  b.header(2, 3).u32_entry("k", 1).key("s", kStringT).text("text");
  b.key("a", kArrayT).u32(kStringT).u64(2);
  b.text("x").text("y");
  b.tensor("a", {8, 2}, kF32, 0).tensor("b", {32}, kQ4_0, 64).pad(32).zeros(64 + 18);
  ASSERT_TRUE(parse(b).ok()) << parse(b).status().message();
  for (size_t size = 0; size < b.str().size(); ++size) {
    Bytes cut;
    cut.raw(std::string_view(b.str()).substr(0, size));
    EXPECT_FALSE(parse(cut).ok()) << "cut to " << size << " bytes";
  }
}

TEST(GgufMalformedTest, SplitFiles) {
  const auto part = [](uint16_t number, uint16_t count, int32_t tensors, const char* tensor) {
    GgufBytes b;
    b.header(1, 3);
    b.key("split.no", 2).number(number);
    b.key("split.count", 2).number(count);
    b.key("split.tensors.count", kI32T).number(tensors);
    b.tensor(tensor, {8}, kF32, 0).pad(32).zeros(32);
    return b.str();
  };
  const char* first = "m-00001-of-00002.gguf";
  const char* second = "m-00002-of-00002.gguf";
  {
    TempDirectory d;
    d.write(first, part(0, 2, 2, "a"));
    d.write(second, part(1, 2, 2, "b"));
    for (const char* name : {first, second}) {
      const auto file = File::open(d.file(name));
      ASSERT_OK(file);
      EXPECT_EQ((*file)->parts(), 2u);
      EXPECT_EQ((*file)->tensors().size(), 2u);
      EXPECT_EQ((*file)->tensors()[1].name, "b");
      EXPECT_EQ((*file)->metadata().size(), 0u);
    }
    d.write(second, part(1, 2, 2, "a"));
    expect_error(File::open(d.file(first)), StatusCode::kCorrupt,
                 "tensor a is in more than one part");
    d.write(second, part(0, 2, 2, "b"));
    expect_error(File::open(d.file(first)), StatusCode::kCorrupt, "says part 1 of 2");
    d.write(second, part(1, 3, 2, "b"));
    expect_error(File::open(d.file(first)), StatusCode::kCorrupt, "says part 2 of 3");
    d.write(second, part(1, 2, 3, "b"));
    expect_error(File::open(d.file(first)), StatusCode::kCorrupt, "3 tensors in all");
    d.write(first, part(0, 2, 3, "a"));
    expect_error(File::open(d.file(first)), StatusCode::kCorrupt,
                 "split.tensors.count is 3, but 2 tensors were found");
  }
  TempDirectory d;
  d.write(first, part(0, 2, 2, "a"));
  expect_error(File::open(d.file(first)), StatusCode::kNotFound, second);
  d.write("other.gguf", part(0, 2, 2, "a"));
  expect_error(File::open(d.file("other.gguf")), StatusCode::kCorrupt,
               "its name should end in -00001-of-00002.gguf");
}

}  // namespace
}  // namespace pare::gguf
