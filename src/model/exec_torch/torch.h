// What we use of libtorch: tensors and their functions, and gradients. <torch/torch.h> has layers,
// optimizers and data loaders besides, and takes twice as long to compile.
#pragma once

#include <torch/types.h>
#include <torch/utils.h>
