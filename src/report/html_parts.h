// The pieces of the HTML page; each appends whole elements with everything from files escaped.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "report/report.h"

namespace pare {

extern const char kReportStyle[];
extern const char kReportScript[];

// Appends formatted text.
template <typename... Args>
void put(std::string* out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(*out), format, std::forward<Args>(args)...);
}

// Colours of a sequential scale, few bits to many: one step per value that occurs, spread over
// the kSteps classes h0, h1, ... of the style sheet. By rank and not by value, because 4.25 and
// 4.5 bits must be told apart in a file that also has 16-bit tensors.
class BitsScale {
 public:
  static constexpr int kSteps = 10;
  explicit BitsScale(const std::vector<ReportTensor>& tensors);
  int step(double bits_per_weight) const;

 private:
  std::map<int, int> steps_;  // hundredths of a bit -> step
};

// Size against divergence of the rows; nothing if no row was compared with the original.
void put_size_chart(const Report& report, std::string* out);
// Roles by blocks, and below it the error of each block; nothing if no tensor is in a block.
void put_layer_map(const Report& report, const BitsScale& scale, std::string* out);
// Which types there are, and the matrices outside the blocks.
void put_type_legend(const Report& report, const BitsScale& scale, std::string* out);
void put_outside_strip(const Report& report, const BitsScale& scale, std::string* out);
void put_tensor_table(const Report& report, const BitsScale& scale, std::string* out);

}  // namespace pare
