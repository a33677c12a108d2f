// A Program as a device runs it: where each value lies there, and operations joined that one
// kernel does. Pure data; made once for a model.
//
// Outputs of linears that read the same input lie side by side in one buffer. Joined are: two
// linears and the gate behind them; a linear and the addition behind it; the ropes of q and k and
// the storing of keys and values.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "model/exec_native/program.h"

namespace pare {

// Columns of a buffer of the device.
struct DevicePlace {
  int32_t buffer = -1;  // 0 is the stream
  int64_t begin = 0, width = 0;
  friend bool operator==(const DevicePlace&, const DevicePlace&) = default;
};

struct DeviceLinear {
  int32_t weight = -1, bias = -1;
  DevicePlace out;
};

struct DeviceOp {
  OpKind kind = OpKind::kLinear;
  const Op* op = nullptr;
  DevicePlace out;
  std::vector<DevicePlace> in;
  // kLinear: all that read in[0]. With a gate: `out` = gate(first) * second, and `linears` have
  // buffers for where the two are made apart. Else each has its own out.
  std::vector<DeviceLinear> linears;
  const Op* gate = nullptr;
  DevicePlace residual;  // added to the only linear's result; buffer -1: nothing is
  // An activation: in[1] is there, and multiplied in. kAttention: in = q, k, v as they are stored.
  int32_t layer = -1;                // kAttention
  int32_t rope = -1;                 // kRope
  int32_t q_rope = -1, k_rope = -1;  // kAttention: ropes that were joined; -1: none
  DevicePlace q_out;                 // where q is when turned; in[0] if it is not
  bool feeds_only = false;           // the next operation is a linear, and alone reads `out`
};

struct DevicePart {
  std::vector<DeviceOp> ops;
};

struct DevicePlan {
  DevicePart prologue;
  std::vector<DevicePart> blocks;  // all of the program's
  DevicePart epilogue;             // begins and ends in the places below
  std::vector<int64_t> buffers;    // columns of each; a row per token
  DevicePlace logits;
};

// Errors: kUnsupported: what the device's kernels cannot do (heads of more than 256 columns).
Result<DevicePlan> plan_for_device(const ModelDesc& desc, const Program& program);

}  // namespace pare
