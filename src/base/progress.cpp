#include "base/progress.h"

namespace pare {
namespace {
class Silent final : public Progress {
 public:
  void begin(std::string_view, uint64_t, std::string_view) override {}
  void advance(uint64_t) override {}
  void note(std::string_view) override {}
  bool stop_requested() const override { return false; }
};
}  // namespace

Progress& Progress::silent() {
  static Silent instance;
  return instance;
}

}  // namespace pare
