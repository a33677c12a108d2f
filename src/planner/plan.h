// A plan: the only instruction that compression follows. Presets, searches and users make
// plans; the driver reads them. On disk it is JSON, written and read here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "formats/gguf/metadata.h"
#include "model/open.h"
#include "tensor/codec_id.h"

namespace pare {

// How a tensor's weights become codes.
enum class Method {
  kKeep,  // the source's bytes, unchanged
  kRtn,   // round to nearest on the codec's fitted grid, with importance where known
  kGptq,  // error-compensated rounding (Frantar et al., arXiv 2210.17323)
};
const char* method_name(Method method);

struct TensorPlan {
  std::string name;
  CodecId codec = CodecId::kF32;
  Method method = Method::kRtn;
  std::string why;  // "preset Q4_K_M: attn_v", "search", "user: --tensor-type ..."
};

struct Plan {
  static constexpr int kSchema = 1;
  std::string source;         // path as given
  std::string source_hash;    // of names, shapes and codecs of the source (source_fingerprint)
  std::string label;          // general.name suffix and file type: "Q4_K_M", "fit 90000000 bytes"
  int file_type = -1;         // general.file_type, -1: none fits
  uint64_t budget_bytes = 0;  // 0: none
  uint64_t file_bytes = 0;    // exact size of the GGUF file that this plan writes
  std::string command;        // what made the plan
  std::vector<TensorPlan> tensors;  // in source order
};

std::string plan_to_json(const Plan& plan);
// `label` names the text in errors.
Result<Plan> plan_from_json(std::string_view text, std::string_view label);

// Identifies a source by what is known before weights are read.
std::string source_fingerprint(const Model& model);

// The source has exactly the plan's tensors, and every codec fits its tensor's rows.
Status check_plan(const Plan& plan, const Model& model);

// Metadata of the file that `plan` makes from `model`: the source's, with file type, version
// and provenance brought up to date.
gguf::Metadata output_metadata(const Plan& plan, const Model& model);

// The output's tensors: the source's names and shapes with the planned codecs.
std::vector<TensorInfo> planned_tensors(const Plan& plan, const Model& model);

// Exact bytes of the GGUF file, header and padding included.
Result<uint64_t> plan_file_bytes(const Plan& plan, const Model& model);

// True size in bits per weight: 8 * bytes of all tensors / number of weights.
double plan_bits_per_weight(const Plan& plan, const Model& model);

}  // namespace pare
