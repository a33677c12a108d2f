// Sites and couplings follow from the graph: nobody has to declare them.
#pragma once

#include "model/desc.h"

namespace pare {

// Fills desc->sites and desc->couplings from desc->graph and desc->tensors.
//
//   site             the linear operations of one part that read the same value
//   kNormReaders     a norm whose output is read by linear operations alone
//   kValueOutput     the matrix that makes v and the one that reads the attention's output
//   kUpDown          a matrix whose output enters a product, linearly, and the one that reads it
//   kTiedEmbedding   the token embedding that is also the output matrix
void derive_sites_and_couplings(ModelDesc* desc);

}  // namespace pare
