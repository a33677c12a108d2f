# libtorch, reduced to what we use: include folders and the CPU (and, where present, CUDA)
# libraries. TorchConfig.cmake of Debian's package adds flags that leak; this target does not.
find_package(Torch REQUIRED)
add_library(pare_torch INTERFACE)
target_include_directories(pare_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(pare_torch INTERFACE ${TORCH_LIBRARIES})
