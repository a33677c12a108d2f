#include "model/tokenizer/hf_spec.h"

namespace pare {

Result<TokenizerSpec> tokenizer_spec_from_hf(const std::string& directory) {
  return unsupported("{}: not yet", directory);
}

}  // namespace pare
