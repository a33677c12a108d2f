// A graph made ready to run: which array each value lies in, when weights' inputs are taken anew,
// slices as views, activations and the products that follow them as one step. Made once for a
// model; pure data.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "model/desc.h"

namespace pare {

// Columns of one array of the session: a row per token.
struct ValuePlace {
  int32_t slot = -1;  // 0 is the stream
  int64_t begin = 0;  // columns before it
  int64_t width = 0;
};

struct Step {
  const Op* op = nullptr;  // of ModelDesc::graph
  ValuePlace out;
  std::vector<ValuePlace> in;
  // kLinear: `in` was not the input of the linear before, so its forms have to be made anew.
  bool new_input = false;
  // kLinear: so many steps that follow at once are linears with the same input.
  int32_t more_linears = 0;
  // kSilu, kGelu*: in[1] is there too, and multiplied in.
  bool gated = false;
  // kLinear: this and the next are what the gated step after them multiplies, and nothing else
  // reads them.
  bool starts_gated = false;
  int32_t rope = -1;   // kRope: index into Program::ropes
  int32_t layer = -1;  // kAttention: index into Program::attentions
};

struct Program {
  std::vector<Step> prologue;
  std::vector<std::vector<Step>> blocks;
  std::vector<Step> epilogue;
  std::vector<int64_t> slots;           // columns of each array of prologue and blocks
  std::vector<int64_t> epilogue_slots;  // the same for the epilogue; slot 0: the wider of
                                        // stream and logits
  std::vector<RopeParams> ropes;        // the kinds of rope
  std::vector<const Op*> attentions;    // in order of layers
};

// Errors: kUnsupported: an operation that this executor does not know. `desc` must outlive the
// result.
Result<Program> compile(const ModelDesc& desc);

}  // namespace pare
