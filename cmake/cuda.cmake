# nvcc and the CUDA runtime, linked statically: what libpare_cuda needs at run time is the driver
# alone. Code is made for the architectures below; the newest is added as PTX, which drivers
# compile for newer devices.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80)  # until the compiler is known
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.0)
  message(STATUS "nvcc ${CMAKE_CUDA_COMPILER_VERSION} does not know C++20: no part for GPUs")
  set(PARE_CUDA OFF)
  return()
endif()
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.8)
  set(known "80-real;90")
else()
  set(known "80-real;90-real;120")
endif()
set(PARE_CUDA_ARCHITECTURES ${known} CACHE STRING
  "CUDA architectures to compile for, as CMAKE_CUDA_ARCHITECTURES")
set(CMAKE_CUDA_ARCHITECTURES ${PARE_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.26 knows no flag for it
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
find_package(CUDAToolkit REQUIRED)
add_library(pare_cuda_runtime INTERFACE)
target_link_libraries(pare_cuda_runtime INTERFACE CUDA::cudart_static)
