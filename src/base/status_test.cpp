#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace pare {
namespace {

Result<int> half_of(int n) {
  if (n % 2 != 0) return invalid_argument("{} is odd", n);
  return n / 2;
}

Result<int> quarter_of(int n) {
  PARE_ASSIGN_OR_RETURN(const int half, half_of(n));
  PARE_ASSIGN_OR_RETURN(const int quarter, half_of(half));
  return quarter;
}

Status check_quarter(int n) {
  PARE_RETURN_IF_ERROR(quarter_of(n).status());
  return {};
}

TEST(Status, ErrorsTravelUpWithTheirMessage) {
  EXPECT_EQ(*quarter_of(12), 3);
  EXPECT_EQ(quarter_of(6).status().message(), "3 is odd");
  EXPECT_EQ(check_quarter(7).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(check_quarter(8).ok());
}

TEST(Status, ContextGoesInFrontAndKeepsTheCode) {
  const Status error = corrupt("bad magic").with_context("a.gguf");
  EXPECT_EQ(error.message(), "a.gguf: bad magic");
  EXPECT_EQ(error.code(), StatusCode::kCorrupt);
  EXPECT_TRUE(Status().with_context("a.gguf").ok());
}

TEST(Status, EveryCodeHasItsOwnName) {
  std::set<std::string> names;
  const int last = static_cast<int>(StatusCode::kInternal);
  for (int i = 0; i <= last; ++i) names.insert(status_code_name(static_cast<StatusCode>(i)));
  EXPECT_EQ(names.size(), static_cast<size_t>(last) + 1);
  EXPECT_EQ(names.count("unknown"), 0u);
}

TEST(Result, HoldsWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 5);
}

}  // namespace
}  // namespace pare
