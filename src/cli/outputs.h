// What a verb is about to write, looked at before any work is done.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace pare::cli {

// kInvalidArgument: the output is one of the inputs, under whatever name, or a directory;
// kNotFound: its folder is not there. A directory among the inputs stands for the files in it;
// empty names stand for nothing.
Status check_output(const std::string& output, const std::vector<std::string>& inputs);

}  // namespace pare::cli
