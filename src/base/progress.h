// How long work tells the outside how far it is, and hears that it should stop.
#pragma once

#include <cstdint>
#include <string_view>

namespace pare {

class Progress {
 public:
  virtual ~Progress() = default;
  // A new stage of `total` units ("calibrate", 100, "chunks"); ends the one before.
  virtual void begin(std::string_view stage, uint64_t total, std::string_view unit) = 0;
  // `done` units of the stage are finished.
  virtual void advance(uint64_t done) = 0;
  // A finding worth one line ("row length 576: Q4_K falls back to Q5_0 in 180 tensors").
  virtual void note(std::string_view line) = 0;
  // True once the user asked to stop (Ctrl-C): the caller returns cancelled().
  virtual bool stop_requested() const = 0;
  // Says nothing, never stops.
  static Progress& silent();
};

}  // namespace pare
