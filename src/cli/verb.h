// A verb of the program: one file, and one line in the table of main.cpp.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "base/threads.h"
#include "cli/console.h"

namespace pare::cli {

// What all verbs share.
struct Common {
  bool json = false;
  bool quiet = false;
  int threads = 0;  // 0: all processors
};
// Adds --json, --quiet and --threads.
void add_common(CLI::App& app, Common& common);

// Registers options on `app` and returns what runs the verb once they are parsed. The returned
// function owns the options' storage.
using Run = std::function<Status()>;
Run add_inspect(CLI::App& app);
Run add_quantize(CLI::App& app);
Run add_calibrate(CLI::App& app);
Run add_plan(CLI::App& app);
Run add_compress(CLI::App& app);
Run add_eval(CLI::App& app);
Run add_diff(CLI::App& app);
Run add_convert(CLI::App& app);
Run add_run(CLI::App& app);
Run add_bench(CLI::App& app);

// The shell completion script ("bash", "zsh", "fish") for the verbs and options of `app`.
Result<std::string> completion_script(const CLI::App& app, const std::string& shell);

}  // namespace pare::cli
