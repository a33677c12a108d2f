// torch's exceptions as Status: one line, without stack traces and advice on settings.
#pragma once

#include <exception>
#include <string_view>

#include "base/status.h"

namespace pare {

// kUnsupported: a GPU has too little memory; kInternal: anything else.
Status torch_error(std::string_view doing, const std::exception& error);

// What body() returns, a Status or a Result; exceptions become one.
template <typename Body>
auto without_exceptions(std::string_view doing, const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::exception& error) {
    return torch_error(doing, error);
  }
}

}  // namespace pare
