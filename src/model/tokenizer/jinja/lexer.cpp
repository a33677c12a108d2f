#include "model/tokenizer/jinja/lexer.h"

#include <algorithm>

#include "model/tokenizer/utf8.h"

namespace pare::jinja {
namespace {

constexpr std::string_view kWhitespace = " \t\n\r\v\f";

bool is_space(char c) { return kWhitespace.find(c) != std::string_view::npos; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) {
      PARE_RETURN_IF_ERROR(text_and_tag());
    }
    add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  using Kind = Token::Kind;

  Status error(std::string_view what) const { return corrupt("template line {}: {}", line_, what); }

  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  // Moves on to `end`, counting lines.
  void advance_to(size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(end), '\n'));
    at_ = end;
  }

  size_t next_tag() const {
    for (size_t i = at_; i + 1 < source_.size(); ++i) {
      if (source_[i] != '{') continue;
      const char c = source_[i + 1];
      if (c == '{' || c == '%' || c == '#') return i;
    }
    return std::string_view::npos;
  }

  // Text before a tag at `end`, with what the tag's own whitespace control takes off it.
  void add_text(size_t end, char sign, bool is_output) {
    std::string_view text = source_.substr(at_, end - at_);
    if (sign == '-') {
      const size_t last = text.find_last_not_of(kWhitespace);
      text = text.substr(0, last == std::string_view::npos ? 0 : last + 1);
    } else if (sign != '+' && !is_output) {
      const size_t newline = text.rfind('\n');
      const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
      const bool blank =
          std::all_of(text.begin() + static_cast<ptrdiff_t>(begin), text.end(), is_space);
      if ((begin > 0 || line_starts_) && blank) text = text.substr(0, begin);
    }
    if (!text.empty()) add(Kind::kText, std::string(text));
    advance_to(end);
  }

  char sign_at(size_t i) const {
    return i < source_.size() && (source_[i] == '-' || source_[i] == '+') ? source_[i] : ' ';
  }

  // After a closing delimiter of a block or comment.
  void after_block(char sign) {
    const size_t before = at_;
    if (sign == '-') {
      skip_space();
    } else if (sign != '+' && at_ < source_.size() && source_[at_] == '\n') {
      advance_to(at_ + 1);
    }
    line_starts_ = at_ > before && source_[at_ - 1] == '\n';
  }

  void skip_space() {
    size_t end = at_;
    while (end < source_.size() && is_space(source_[end])) ++end;
    advance_to(end);
  }

  Status text_and_tag() {
    const size_t tag = next_tag();
    if (tag == std::string_view::npos) {
      add(Kind::kText, std::string(source_.substr(at_)));
      at_ = source_.size();
      return {};
    }
    const char kind = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    add_text(tag, sign, kind == '{');
    at_ += sign == ' ' ? 2 : 3;
    if (kind == '#') return comment();
    if (kind == '%' && raw_begins()) return raw();
    add(kind == '{' ? Kind::kOutputBegin : Kind::kBlockBegin, "");
    return code(kind == '{' ? "}}" : "%}");
  }

  Status comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) return error("a comment is not closed");
    const char sign = end > at_ ? sign_at(end - 1) : ' ';
    advance_to(end + 2);
    after_block(sign);
    return {};
  }

  // Whether the tag reads "name", with whitespace and signs around; moves behind it if so.
  bool take_tag(std::string_view name, char* end_sign) {
    size_t i = at_;
    while (i < source_.size() && is_space(source_[i])) ++i;
    if (source_.substr(i, name.size()) != name) return false;
    i += name.size();
    while (i < source_.size() && is_space(source_[i])) ++i;
    *end_sign = sign_at(i);
    if (*end_sign != ' ') ++i;
    if (source_.substr(i, 2) != "%}") return false;
    advance_to(i + 2);
    return true;
  }

  bool raw_begins() {
    char sign = ' ';
    if (!take_tag("raw", &sign)) return false;
    after_block(sign);
    return true;
  }

  Status raw() {
    for (size_t i = at_; (i = source_.find("{%", i)) != std::string_view::npos; ++i) {
      const size_t text_begin = at_;
      const int text_line = line_;
      const char sign = sign_at(i + 2);
      at_ = i + (sign == ' ' ? 2 : 3);
      char end_sign = ' ';
      if (take_tag("endraw", &end_sign)) {
        const size_t behind = at_;
        at_ = text_begin;
        line_ = text_line;
        add_text(i, sign, false);
        advance_to(behind);
        after_block(end_sign);
        return {};
      }
      at_ = text_begin;
      line_ = text_line;
    }
    return error("raw is not closed");
  }

  // Tokens up to the closing delimiter.
  Status code(std::string_view close) {
    int brackets = 0;
    while (true) {
      skip_space();
      if (at_ >= source_.size()) return error(fmt::format("'{}' is missing", close));
      const char sign = sign_at(at_);
      const size_t past_sign = at_ + (sign == ' ' ? 0 : 1);
      if (brackets == 0 && (sign == '-' || (sign == '+' && close == "%}")) &&
          source_.substr(past_sign, 2) == close) {
        at_ = past_sign;
        return finish(close, sign);
      }
      if (brackets == 0 && source_.substr(at_, 2) == close) return finish(close, ' ');
      PARE_RETURN_IF_ERROR(token());
      const Token& last = tokens_.back();
      if (last.kind == Kind::kOperator && last.text.size() == 1) {
        if (std::string_view("([{").find(last.text) != std::string_view::npos) ++brackets;
        if (std::string_view(")]}").find(last.text) != std::string_view::npos) --brackets;
      }
    }
  }

  Status finish(std::string_view close, char sign) {
    add(close == "}}" ? Kind::kOutputEnd : Kind::kBlockEnd, "");
    advance_to(at_ + 2);
    if (close == "%}") {
      after_block(sign);
    } else {
      const size_t before = at_;
      if (sign == '-') skip_space();
      line_starts_ = at_ > before && source_[at_ - 1] == '\n';
    }
    return {};
  }

  Status token() {
    const char c = source_[at_];
    if (c == '\'' || c == '"') return string(c);
    if (is_digit(c)) return number();
    if (is_name_start(c)) {
      size_t end = at_;
      while (end < source_.size() && (is_name_start(source_[end]) || is_digit(source_[end]))) ++end;
      add(Kind::kName, std::string(source_.substr(at_, end - at_)));
      at_ = end;
      return {};
    }
    for (std::string_view two : {"==", "!=", "<=", ">=", "//", "**"}) {
      if (source_.substr(at_, 2) == two) {
        add(Kind::kOperator, std::string(two));
        at_ += 2;
        return {};
      }
    }
    if (std::string_view("+-*/%~()[]{}<>=,:.|").find(c) == std::string_view::npos) {
      return error(fmt::format("unexpected character '{}'", c));
    }
    add(Kind::kOperator, std::string(1, c));
    ++at_;
    return {};
  }

  Status number() {
    size_t end = at_;
    bool is_float = false;
    const auto digits = [&] {
      while (end < source_.size() && (is_digit(source_[end]) || source_[end] == '_')) ++end;
    };
    digits();
    // "1.5", but in "list.0.name" the point begins an attribute.
    const bool after_point =
        !tokens_.empty() && tokens_.back().kind == Kind::kOperator && tokens_.back().text == ".";
    if (!after_point && end + 1 < source_.size() && source_[end] == '.' &&
        is_digit(source_[end + 1])) {
      is_float = true;
      ++end;
      digits();
    }
    size_t exponent = end + 1;
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      if (exponent < source_.size() && sign_at(exponent) != ' ') ++exponent;
      if (exponent < source_.size() && is_digit(source_[exponent])) {
        is_float = true;
        end = exponent;
        digits();
      }
    }
    std::string text(source_.substr(at_, end - at_));
    std::erase(text, '_');
    add(is_float ? Kind::kFloat : Kind::kInteger, std::move(text));
    at_ = end;
    return {};
  }

  Status string(char quote) {
    std::string text;
    size_t i = at_ + 1;
    for (; i < source_.size() && source_[i] != quote; ++i) {
      if (source_[i] != '\\' || i + 1 >= source_.size()) {
        text += source_[i];
        continue;
      }
      const char c = source_[++i];
      static constexpr std::string_view kLetters = "ntrbfva0\\'\"";
      static constexpr std::string_view kMeanings("\n\t\r\b\f\v\a\0\\'\"", 11);
      const size_t known = kLetters.find(c);
      const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
      if (known != std::string_view::npos) {
        text += kMeanings[known];
      } else if (digits > 0) {
        const std::string hex(source_.substr(i + 1, digits));
        if (hex.size() != digits ||
            hex.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
          return error("a \\x or \\u escape without its digits");
        }
        const unsigned long value = std::strtoul(hex.c_str(), nullptr, 16);
        const bool valid = value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
        append_utf8(valid ? static_cast<char32_t>(value) : kReplacementCharacter, &text);
        i += digits;
      } else if (c != '\n') {  // an escaped line end joins two lines
        text += {'\\', c};
      }
    }
    if (i >= source_.size()) return error("a string is not closed");
    add(Kind::kString, std::move(text));
    advance_to(i + 1);
    return {};
  }

  std::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // nothing but the line's beginning is before at_
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace pare::jinja
