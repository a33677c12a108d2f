// Status and Result<T>: how every boundary that touches input reports failure.
//
// The library never prints, exits or lets an exception cross its edge: functions that can
// fail return Status or Result<T>. Messages name the file, the tensor, what was found and
// what was expected. Values are cheap to move; no thread safety beyond that of the members.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "base/check.h"

namespace pare {

enum class StatusCode {
  kOk = 0,
  kInvalidArgument,  // the caller or the command line asked for something impossible
  kNotFound,         // a file, tensor or key that should be there is not
  kCorrupt,          // a file does not follow its format
  kUnsupported,      // well formed, but not something this build can do
  kIo,               // the operating system failed us: read, write, disk full
  kBrokenPromise,    // the result was made but is not what was promised
  kCancelled,        // the user asked to stop
  kInternal,         // a bug of ours, or a library that failed in an unexpected way
};

// Short lower-case name ("corrupt"), for logs and --json.
const char* status_code_name(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // success
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {
    PARE_CHECK(code != StatusCode::kOk, "an error needs a code");
  }
  static Status ok_status() { return {}; }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with "context: " before its message; success stays success.
  Status with_context(std::string_view context) const {
    return ok() ? *this : Status(code_, fmt::format("{}: {}", context, message_));
  }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

#define PARE_DEFINE_ERROR_(name, code)                                     \
  template <typename... Args>                                              \
  Status name(fmt::format_string<Args...> format, Args&&... args) {        \
    return Status(code, fmt::format(format, std::forward<Args>(args)...)); \
  }
PARE_DEFINE_ERROR_(invalid_argument, StatusCode::kInvalidArgument)
PARE_DEFINE_ERROR_(not_found, StatusCode::kNotFound)
PARE_DEFINE_ERROR_(corrupt, StatusCode::kCorrupt)
PARE_DEFINE_ERROR_(unsupported, StatusCode::kUnsupported)
PARE_DEFINE_ERROR_(io_error, StatusCode::kIo)
PARE_DEFINE_ERROR_(broken_promise, StatusCode::kBrokenPromise)
PARE_DEFINE_ERROR_(cancelled, StatusCode::kCancelled)
PARE_DEFINE_ERROR_(internal_error, StatusCode::kInternal)
#undef PARE_DEFINE_ERROR_

// Either a value or the error that kept it from being made.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    PARE_CHECK(!status_.ok(), "a Result without a value needs an error");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & {
    PARE_CHECK(ok(), status_.message());
    return *value_;
  }
  const T& value() const& {
    PARE_CHECK(ok(), status_.message());
    return *value_;
  }
  T&& value() && {
    PARE_CHECK(ok(), status_.message());
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace pare

#define PARE_CONCAT_INNER_(a, b) a##b
#define PARE_CONCAT_(a, b) PARE_CONCAT_INNER_(a, b)

// Leaves the function with the error, if there is one.
#define PARE_RETURN_IF_ERROR(expr)                                                     \
  do {                                                                                 \
    if (::pare::Status pare_status_ = (expr); !pare_status_.ok()) return pare_status_; \
  } while (0)

// PARE_ASSIGN_OR_RETURN(auto file, open(path));
#define PARE_ASSIGN_OR_RETURN(lhs, expr) \
  PARE_ASSIGN_OR_RETURN_IMPL_(PARE_CONCAT_(pare_result_, __LINE__), lhs, expr)
#define PARE_ASSIGN_OR_RETURN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  if (!tmp.ok()) return tmp.status();               \
  lhs = std::move(tmp).value()
