// What the program says: results on stdout (text, or JSON with --json), progress and notes on
// stderr. Progress is one line that rewrites itself on a terminal and silence elsewhere.
#pragma once

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"

namespace pare::cli {

// The command as it was given, for what is written by it: quoted for a shell where needed.
void remember_command(int argc, char** argv);
const std::string& command_line();

// Makes Ctrl-C (and SIGTERM) ask for a stop instead of killing: work in progress ends at the
// next safe place. A second one kills.
void install_stop_handler();
bool stop_was_requested();
// The request was obeyed: work goes on with something else.
void clear_stop_request();

class TerminalProgress final : public Progress {
 public:
  explicit TerminalProgress(bool quiet);
  ~TerminalProgress() override;
  void begin(std::string_view stage, uint64_t total, std::string_view unit) override;
  void advance(uint64_t done) override;
  void note(std::string_view line) override;
  bool stop_requested() const override { return stop_was_requested(); }

 private:
  void draw(bool last);
  void end_stage();

  bool quiet_, terminal_;
  std::string stage_, unit_;
  uint64_t total_ = 0, done_ = 0;
  std::chrono::steady_clock::time_point start_, drawn_;
  bool active_ = false;
};

// A table for people: columns are as wide as their content; numbers to the right. Cells may hold
// text from files: they are made printable.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void add(std::vector<std::string> row);
  std::string to_string() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

// Text from a file, safe to show: control characters, which a terminal would obey, become '?'.
std::string printable(std::string_view text);
std::string format_bytes(uint64_t bytes);    // "118.4 MiB"
std::string format_seconds(double seconds);  // "1 min 23 s"
void print_json(const nlohmann::ordered_json& json);
void print_json_line(const nlohmann::ordered_json& json);  // of many

// "90MB", "4.5GB", "85MiB", "120000000": bytes. MB is 10^6, MiB is 2^20.
struct Budget {
  uint64_t bytes = 0;            // 0 if given as bits per weight
  double bits_per_weight = 0.0;  // "4.5bpw"
};
bool parse_budget(std::string_view text, Budget* out);

// Largest resident memory of this process so far, in bytes.
uint64_t peak_memory();

}  // namespace pare::cli
