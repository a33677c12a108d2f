# libtorch, reduced to what we use: headers and three libraries. Its own package file is not asked,
# since with CUDA that one wants nvcc and changes the project's settings; what `libtorch` itself
# needs, CUDA's part too, its loader finds.
#
# Any libtorch with the C++11 ABI from 1.13 on (Debian's; the archives that say so; Python's wheels
# from 2.7 on): in the system, below CMAKE_PREFIX_PATH, or with CMAKE_PREFIX_PATH or Torch_DIR as
# its package file would want them (torch.utils.cmake_prefix_path).
set(torch_hints)
foreach(prefix ${CMAKE_PREFIX_PATH})
  list(APPEND torch_hints ${prefix}/../..)  # share/cmake
endforeach()
if(Torch_DIR)
  list(APPEND torch_hints ${Torch_DIR}/../../..)  # share/cmake/Torch
endif()
find_path(TORCH_INCLUDE_DIR torch/csrc/api/include/torch/types.h
  HINTS ${torch_hints} PATH_SUFFIXES include)
set(torch_libraries)
foreach(name torch torch_cpu c10)
  find_library(PARE_LIBRARY_${name} ${name} HINTS ${torch_hints} PATH_SUFFIXES lib)
  if(NOT PARE_LIBRARY_${name})
    set(TORCH_INCLUDE_DIR TORCH_INCLUDE_DIR-NOTFOUND)
  endif()
  list(APPEND torch_libraries ${PARE_LIBRARY_${name}})
endforeach()
if(NOT TORCH_INCLUDE_DIR)
  message(FATAL_ERROR "libtorch was not found: install it (Debian: libtorch-dev), name its folder in "
    "CMAKE_PREFIX_PATH, or build without it (-DPARE_TORCH=OFF)")
endif()
message(STATUS "libtorch: ${PARE_LIBRARY_torch}")

# Its folder may hold headers of other projects (fmt) in versions that are not ours.
set(torch_headers ${PROJECT_BINARY_DIR}/torch_headers)
file(MAKE_DIRECTORY ${torch_headers})
foreach(folder torch ATen c10 caffe2)
  if(EXISTS ${TORCH_INCLUDE_DIR}/${folder})
    file(CREATE_LINK ${TORCH_INCLUDE_DIR}/${folder} ${torch_headers}/${folder} SYMBOLIC)
  endif()
endforeach()

add_library(pare_torch INTERFACE)
target_include_directories(pare_torch SYSTEM INTERFACE
  ${torch_headers} ${torch_headers}/torch/csrc/api/include)
# Nothing refers to libtorch_cuda, which libtorch brings in: it registers itself. The C++ library
# comes first: wheels carry functions of their own copy.
target_link_libraries(pare_torch INTERFACE
  -Wl,--push-state,--no-as-needed stdc++ ${torch_libraries} -Wl,--pop-state)
