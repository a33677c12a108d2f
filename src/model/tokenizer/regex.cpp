#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/tokenizer/regex.h"

#include <pcre2.h>

#include "model/tokenizer/utf8.h"

namespace pare {
namespace {

// Enough for any sane pattern on a megabyte of text; a runaway one stops within a second.
constexpr uint32_t kMatchLimit = 20'000'000;
constexpr size_t kJitStackBytes = size_t{4} << 20;
constexpr size_t kMaxPatternBytes = 64 << 10;

// Oniguruma's Unicode classes, to be used inside brackets, and their complements.
constexpr std::string_view kSpace =
    R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x00-\x08\x0e-\x1f\x21-\x84\x86-\x9f\xa1-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{d7ff}\x{e000}-\x{10ffff})";
constexpr std::string_view kWord = R"(\p{L}\p{M}\p{Nd}\p{Pc})";

Result<std::string> to_pcre2(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  size_t class_begin = 0;  // index of the first member, where a ']' would be literal
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char kind = pattern[++i];
      const auto add_class = [&](std::string_view members) {
        if (!in_class) out += '[';
        out += members;
        if (!in_class) out += ']';
      };
      if (kind == 's') {
        add_class(kSpace);
      } else if (kind == 'S') {
        add_class(kNotSpace);
      } else if (kind == 'w') {
        add_class(kWord);
      } else if (kind == 'W' && !in_class) {
        out += fmt::format("[^{}]", kWord);
      } else if (kind == 'W' || kind == 'h' || kind == 'H' || kind == 'R' || kind == 'X') {
        return unsupported("regex '{}': '\\{}' is not supported here", pattern, kind);
      } else {
        out += {'\\', kind};
      }
      continue;
    }
    if (in_class && c == '&' && pattern.substr(i, 2) == "&&") {
      return unsupported("regex '{}': set intersection (&&) is not supported", pattern);
    }
    if (in_class && c == '[') {
      return unsupported("regex '{}': a class inside a class is not supported", pattern);
    }
    if (c == '[' && !in_class) {
      in_class = true;
      class_begin = i + (pattern.substr(i, 2) == "[^" ? 2 : 1);
    } else if (c == ']' && in_class && i > class_begin) {
      in_class = false;
    }
    out += c;
  }
  return out;
}

// What a match needs besides the code; one per thread.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, kJitStackBytes, nullptr);
  Scratch() {
    PARE_CHECK(data != nullptr && context != nullptr && stack != nullptr, "out of memory");
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, 64 << 10);  // KiB; used only where JIT is not available
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Scratch() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[160];
  if (pcre2_get_error_message(code, buffer, sizeof(buffer)) < 0) return "unknown error";
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes || !is_valid_utf8(pattern)) {
    return corrupt("a regex of {} bytes: expected valid UTF-8 of at most {} bytes", pattern.size(),
                   kMaxPatternBytes);
  }
  PARE_ASSIGN_OR_RETURN(const std::string rewritten, to_pcre2(pattern));
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  PARE_CHECK(context != nullptr, "out of memory");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error = 0;
  PCRE2_SIZE where = 0;
  constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten.data()), rewritten.size(),
                                   kOptions, &error, &where, context.get());
  if (code == nullptr) return corrupt("regex '{}': {}", pattern, pcre2_message(error));
  std::shared_ptr<void> owner(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without JIT the interpreter does the same work
  return Regex(std::string(pattern), std::move(owner));
}

Result<Regex> Regex::literal(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    const bool plain = (c & 0x80) != 0 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                       (c >= 'A' && c <= 'Z') || c == ' ';
    escaped += plain ? std::string(1, c) : fmt::format("\\x{{{:x}}}", c);
  }
  return compile(escaped);
}

Status Regex::find_all(std::string_view text, std::vector<TextRange>* matches) const {
  thread_local Scratch scratch;
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  matches->clear();
  size_t at = 0;
  uint32_t options = PCRE2_NO_UTF_CHECK;
  while (at <= text.size()) {
    const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                  options, scratch.data, scratch.context);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      return corrupt("regex '{}': gave up at byte {} of a text of {} bytes: {}", pattern_, at,
                     text.size(), pcre2_message(found));
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(scratch.data);
    if (range[0] > range[1] || range[1] < at) {  // \K in a look-around can do this
      return unsupported("regex '{}': a match that ends before it begins", pattern_);
    }
    matches->push_back({range[0], range[1]});
    at = range[1];
    // An empty match must not be found again: step over one code point.
    if (range[0] == range[1]) at += at < text.size() ? decode_utf8(text, at).size : 1;
  }
  return {};
}

}  // namespace pare
