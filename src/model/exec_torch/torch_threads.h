// How many threads torch and BLAS use within one call. pare runs independent windows and rows on
// threads of its own and wants one.
#pragma once

namespace pare {

// For the whole process, from now on.
void set_torch_threads(int threads);

// OpenMP keeps its setting by thread: every thread that calls torch calls this before.
void follow_thread_setting();

}  // namespace pare
