// Jinja templates as models' chat templates use them: our own implementation of the part of the
// language that the sandbox of Hugging Face's transformers offers (trim_blocks and lstrip_blocks
// on, loop controls, `generation` blocks, raise_exception, strftime_now).
//
// Supported: output, if, for (with else, filter, unpacking, break, continue), set (also of a
// namespace's attribute, and of a block), macro, filter blocks, raw, comments, whitespace control;
// the expressions, filters, tests and methods of Python values that templates need. Not supported,
// with an error that says so: include, import, extends, block, call, recursive loops.
//
// Templates come with models and are not trusted: nesting, steps, memory and output are bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace pare::jinja {

struct Limits {
  uint64_t steps = 5'000'000;         // expressions and statements evaluated
  size_t memory = size_t{256} << 20;  // bytes of all values made, together
  size_t output = size_t{64} << 20;   // bytes
  int call_depth = 40;                // macros within macros
};

struct Block;

// A parsed template. Immutable: any number of threads may render it.
class Template {
 public:
  // Errors: kCorrupt with the line of what is wrong; kUnsupported.
  static Result<Template> parse(std::string_view source);

  // variables: an object; members are the template's variables. Errors: kInvalidArgument with the
  // template's own message (raise_exception), kCorrupt for what it does wrong, with the line.
  Result<std::string> render(const nlohmann::ordered_json& variables,
                             const Limits& limits = {}) const;

 private:
  explicit Template(std::shared_ptr<const Block> body) : body_(std::move(body)) {}
  std::shared_ptr<const Block> body_;
};

}  // namespace pare::jinja
