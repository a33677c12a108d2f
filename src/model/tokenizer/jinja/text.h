// Python's operations on text, by code point.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pare::jinja {

std::vector<std::string_view> split_characters(std::string_view text);
size_t count_characters(std::string_view text);
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string capitalized(std::string_view text);
// First letters of words in upper case, the others in lower case. Words are what Python's
// str.title() takes them to be (letters), or Jinja's filter (between spaces, brackets, hyphens).
std::string title_by_letters(std::string_view text);
std::string title_by_separators(std::string_view text);
// Without the characters of `which` at its ends; an empty `which` means whitespace.
std::string_view strip(std::string_view text, std::string_view which, bool left, bool right);
// Python's split(): by whitespace if the separator is empty. limit < 0: none.
std::vector<std::string> split(std::string_view text, std::string_view separator, int64_t limit);
std::vector<std::string> split_from_right(std::string_view text, std::string_view separator,
                                          int64_t limit);
std::vector<std::string> split_lines(std::string_view text, bool keep_ends);
// All, or the first `limit`, occurrences replaced. The result's size is bounded by `max_bytes`:
// false if it would be larger.
bool replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit,
             size_t max_bytes, std::string* out);
// True if there is at least one character and all are of the kind.
bool all_digits(std::string_view text);
bool all_letters(std::string_view text);
bool all_letters_or_digits(std::string_view text);
bool all_space(std::string_view text);

}  // namespace pare::jinja
