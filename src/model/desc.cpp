#include "model/desc.h"

namespace pare {

const char* role_name(Role role) {
  switch (role) {
    case Role::kTokenEmbedding:
      return "token_embd";
    case Role::kPositionEmbedding:
      return "position_embd";
    case Role::kOutput:
      return "output";
    case Role::kOutputNorm:
      return "output_norm";
    case Role::kRopeFactors:
      return "rope_factors";
    case Role::kAttentionNorm:
      return "attn_norm";
    case Role::kAttentionPostNorm:
      return "attn_post_norm";
    case Role::kQNorm:
      return "attn_q_norm";
    case Role::kKNorm:
      return "attn_k_norm";
    case Role::kQ:
      return "attn_q";
    case Role::kK:
      return "attn_k";
    case Role::kV:
      return "attn_v";
    case Role::kQkv:
      return "attn_qkv";
    case Role::kAttentionOutput:
      return "attn_output";
    case Role::kFfnNorm:
      return "ffn_norm";
    case Role::kFfnPostNorm:
      return "ffn_post_norm";
    case Role::kFfnGate:
      return "ffn_gate";
    case Role::kFfnUp:
      return "ffn_up";
    case Role::kFfnGateUp:
      return "ffn_gate_up";
    case Role::kFfnDown:
      return "ffn_down";
    case Role::kOther:
      return "other";
  }
  return "other";
}

int32_t ModelDesc::find(std::string_view tensor) const {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == tensor) return static_cast<int32_t>(i);
  }
  return -1;
}

}  // namespace pare
