// A model some of whose tensors come from its compressed file: what a group of them costs alone.
#pragma once

#include <memory>
#include <vector>

#include "model/open.h"

namespace pare {

// `original` with tensor i taken from `compressed` (tensors of the same names and shapes, in any
// codec and order) where `from_compressed[i]`. kInvalidArgument if one is missing there.
Result<std::shared_ptr<const Model>> mix_models(const Model& original,
                                                std::shared_ptr<const TensorSource> compressed,
                                                const std::vector<bool>& from_compressed);

}  // namespace pare
