// PARE_CLONES before a function: it is compiled for several instruction sets, and the best of them
// is taken when the program is loaded. For loops that the compiler turns into vectors by itself;
// results are the same on all of them, since nothing is contracted or reordered.
#pragma once

#if defined(__x86_64__)
#define PARE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define PARE_CLONES
#endif
