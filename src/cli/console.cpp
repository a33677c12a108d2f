#include "cli/console.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>

namespace pare::cli {
namespace {

std::atomic<bool> stop_requested_flag{false};

void on_stop_signal(int signal) {
  if (stop_requested_flag.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

// Characters that a terminal shows, for UTF-8 text without wide characters.
size_t display_width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_of("0123456789") != std::string_view::npos &&
         text.find_first_not_of("0123456789.,+-±%e× ") == std::string_view::npos;
}

std::string& remembered() {
  static std::string command;
  return command;
}

// As a shell reads it.
std::string quoted(std::string_view argument) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
      "0123456789_-./:=,@%+";
  if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(argument);
  }
  std::string text = "'";
  for (char c : argument) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

void remember_command(int argc, char** argv) {
  remembered() = "pare";
  for (int i = 1; i < argc; ++i) remembered() += " " + quoted(argv[i]);
}

const std::string& command_line() { return remembered(); }

void install_stop_handler() {
  std::signal(SIGINT, on_stop_signal);
  std::signal(SIGTERM, on_stop_signal);
  // A write beyond the limit on file sizes shall fail like one on a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
}

bool stop_was_requested() { return stop_requested_flag.load(); }

void clear_stop_request() { stop_requested_flag = false; }

TerminalProgress::TerminalProgress(bool quiet) : quiet_(quiet), terminal_(::isatty(2) != 0) {}
TerminalProgress::~TerminalProgress() { end_stage(); }

void TerminalProgress::begin(std::string_view stage, uint64_t total, std::string_view unit) {
  end_stage();
  stage_ = stage;
  unit_ = unit;
  total_ = total;
  done_ = 0;
  start_ = drawn_ = std::chrono::steady_clock::now();
  active_ = true;
  draw(false);
}

void TerminalProgress::advance(uint64_t done) {
  done_ = done;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  draw(false);
}

void TerminalProgress::note(std::string_view line) {
  if (quiet_) return;
  if (terminal_ && active_) fmt::print(stderr, "\r\033[K");
  fmt::print(stderr, "{}\n", line);
  draw(false);
}

void TerminalProgress::end_stage() {
  if (!active_) return;
  draw(true);
  active_ = false;
}

void TerminalProgress::draw(bool last) {
  if (quiet_ || !terminal_ || !active_) return;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const bool bytes = unit_ == "bytes";
  const auto amount = [&](double n) {
    return bytes ? format_bytes(static_cast<uint64_t>(n)) : fmt::format("{:.0f} {}", n, unit_);
  };
  std::string line = fmt::format("{:<12}", stage_);
  if (last) {
    line += fmt::format("{} in {}", amount(static_cast<double>(done_)), format_seconds(seconds));
  } else {
    const double share =
        total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 0.0;
    const int filled = static_cast<int>(share * 24.0);
    line += fmt::format("[{}{}] {:3.0f} %", std::string(static_cast<size_t>(filled), '#'),
                        std::string(static_cast<size_t>(24 - filled), '.'), 100.0 * share);
    if (done_ > 0 && seconds > 0.5) {
      const double rate = static_cast<double>(done_) / seconds;
      line += bytes ? fmt::format("  {}/s", format_bytes(static_cast<uint64_t>(rate)))
                    : fmt::format("  {:.1f} {}/s", rate, unit_);
      line += fmt::format(", {} left", format_seconds(static_cast<double>(total_ - done_) / rate));
    }
  }
  fmt::print(stderr, "\r\033[K{}{}", line, last ? "\n" : "");
  std::fflush(stderr);
}

std::string printable(std::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return out;
}

void Table::add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = printable(cell);
  rows_.push_back(std::move(row));
}

std::string Table::to_string() const {
  std::vector<size_t> width(header_.size());
  for (size_t c = 0; c < header_.size(); ++c) width[c] = display_width(header_[c]);
  for (const auto& row : rows_) {
    for (size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], display_width(row[c]));
  }
  std::string text;
  const auto add_row = [&](const std::vector<std::string>& row, bool is_header) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string pad(width[c] - display_width(row[c]), ' ');
      const bool right = !is_header && is_number(row[c]);
      line += (c == 0 ? "" : "  ") + (right ? pad + row[c] : row[c] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_row(header_, true);
  for (const auto& row : rows_) add_row(row, false);
  return text;
}

std::string format_bytes(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < std::size(kUnits)) {
    value /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_seconds(double seconds) {
  if (seconds < 10.0) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<uint64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

void print_json(const nlohmann::ordered_json& json) {
  // Names from files may not be UTF-8: such bytes become U+FFFD instead of an exception.
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_json_line(const nlohmann::ordered_json& json) {
  fmt::print("{}\n", json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  std::fflush(stdout);
}

bool parse_budget(std::string_view text, Budget* out) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !(value > 0.0) || value > 1e18) return false;
  std::string unit;
  for (const char* p = end; p != text.data() + text.size(); ++p) {
    if (*p != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*p)));
  }
  if (unit == "bpw") {
    out->bits_per_weight = value;
    out->bytes = 0;
    return true;
  }
  constexpr struct {
    const char* name;
    double factor;
  } kUnits[] = {{"", 1},         {"b", 1},           {"kb", 1e3},          {"mb", 1e6},
                {"gb", 1e9},     {"k", 1e3},         {"m", 1e6},           {"g", 1e9},
                {"kib", 1024.0}, {"mib", 1048576.0}, {"gib", 1073741824.0}};
  for (const auto& u : kUnits) {
    if (unit == u.name) {
      out->bytes = static_cast<uint64_t>(value * u.factor);
      out->bits_per_weight = 0.0;
      return out->bytes > 0;
    }
  }
  return false;
}

uint64_t peak_memory() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace pare::cli
