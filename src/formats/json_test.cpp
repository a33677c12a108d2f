#include "formats/json.h"

#include "formats/test_support.h"

namespace pare {
namespace {

using testing_support::expect_error;

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(JsonTest, SameAsTheLibraryOnWhatIsRight) {
  for (const char* text :
       {"null", "1", "-2.5e3", "\"a\\u00e9\\n\"", "[]", "{}", "[1,[2,{\"a\":[true,false]}],{}]",
        R"({"a":{"b":{"c":[1,2,3]}},"d":18446744073709551615,"e":-1,"":null})", " [ 1 , 2 ] "}) {
    SCOPED_TRACE(text);
    const auto value = parse_json(text, "x");
    ASSERT_OK(value);
    EXPECT_EQ(*value, nlohmann::json::parse(text));
  }
}

TEST(JsonTest, WhatIsWrongIsRefusedWithTheLabel) {
  for (const char* text : {"", "{", "[1,]", "{\"a\":1,}", "{} x", "nul", "'a'", "\"\xff\"",
                           "// c\n1", "NaN", "1e999", "[1 2]", "\"\n\""}) {
    SCOPED_TRACE(text);
    expect_error(parse_json(text, "config.json"), StatusCode::kCorrupt, "config.json: bad JSON: ");
  }
  expect_error(parse_json(std::string_view("{}\0{", 4), "x"), StatusCode::kCorrupt, "zero byte");
}

TEST(JsonTest, DuplicateKeysAndDepth) {
  expect_error(parse_json(R"({"a":{"k":1,"k":2}})", "x"), StatusCode::kCorrupt,
               "the key \"k\" occurs twice");
  ASSERT_OK(parse_json(R"([{"k":1},{"k":2}])", "x"));
  ASSERT_OK(parse_json(nested(kMaxJsonDepth), "x"));
  expect_error(parse_json(nested(kMaxJsonDepth + 1), "x"), StatusCode::kCorrupt,
               "nested more than 64 deep");
  expect_error(parse_json(std::string(10'000'000, '['), "x"), StatusCode::kCorrupt, "nested");
}

TEST(JsonTest, Quote) {
  EXPECT_EQ(*json_quote("a\"\n"), R"("a\"\n")");
  expect_error(json_quote("\xc3"), StatusCode::kInvalidArgument, "not UTF-8");
}

}  // namespace
}  // namespace pare
