#include "formats/json.h"

#include <vector>

#include "base/file.h"

namespace pare {
namespace {

using nlohmann::json;

// Builds the value from the parser's events and refuses what parse_json() refuses.
class Builder final : public nlohmann::json_sax<json> {
 public:
  explicit Builder(size_t max_depth) : max_depth_(max_depth) {}

  json take() { return std::move(root_); }
  const std::string& error() const { return error_; }

  bool null() override { return add(nullptr) != nullptr; }
  bool boolean(bool value) override { return add(value) != nullptr; }
  bool number_integer(int64_t value) override { return add(value) != nullptr; }
  bool number_unsigned(uint64_t value) override { return add(value) != nullptr; }
  bool number_float(double value, const std::string&) override { return add(value) != nullptr; }
  bool string(std::string& value) override { return add(std::move(value)) != nullptr; }
  bool binary(json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    const auto [slot, is_new] = open_.back()->get_ref<json::object_t&>().emplace(name, nullptr);
    slot_ = &slot->second;
    if (!is_new) error_ = fmt::format("the key \"{}\" occurs twice in one object", name);
    return is_new;
  }
  bool parse_error(size_t, const std::string&, const json::exception& e) override {
    error_ = e.what();
    // Our callers name the file; the library's own prefix would only be in the way.
    if (const size_t at = error_.find("] "); at != std::string::npos) error_.erase(0, at + 2);
    return false;
  }

 private:
  json* add(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      auto& items = open_.back()->get_ref<json::array_t&>();
      return &items.emplace_back(std::move(value));
    }
    *slot_ = std::move(value);
    return slot_;
  }
  bool open(json value) {
    if (open_.size() == max_depth_) {
      error_ = fmt::format("nested more than {} deep", max_depth_);
      return false;
    }
    open_.push_back(add(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  json root_;
  // The containers being filled. Only the innermost grows, so that the pointers stay valid.
  std::vector<json*> open_;
  json* slot_ = nullptr;
  size_t max_depth_;
  std::string error_;
};

}  // namespace

Result<json> parse_json(std::string_view text, std::string_view label, size_t max_depth) {
  // The library takes a zero byte for the end of its input and would skip what follows.
  if (text.find('\0') != text.npos) return corrupt("{}: bad JSON: a zero byte", label);
  Builder builder(max_depth);
  if (!json::sax_parse(text, &builder)) return corrupt("{}: bad JSON: {}", label, builder.error());
  return builder.take();
}

Result<json> read_json(const std::string& path, size_t max_depth) {
  PARE_ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  const auto bytes = file->bytes();
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, max_depth);
}

Result<std::string> json_quote(std::string_view text) {
  try {
    return json(text).dump();
  } catch (const json::exception&) {
    return invalid_argument("not UTF-8 text: {} bytes", text.size());
  }
}

}  // namespace pare
