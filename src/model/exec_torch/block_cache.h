// Memory of large tensors. glibc either asks the system for each of them, which costs a page
// fault for every 4 KiB, or keeps what was freed in a heap that grows to twice what is in use.
// Here freed memory waits for the next tensor of the same size, up to a bound.
#pragma once

namespace pare {

// For all tensors that torch makes on the CPU from now on; a second call does nothing.
void install_block_cache();

}  // namespace pare
