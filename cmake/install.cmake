# `cmake --install`: the program, the libraries, the public headers, and a package for
# find_package(pare). The parts on libtorch and on CUDA are loaded by the program at run time, so they
# are installed but not exported.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pare)
install(TARGETS pare RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS pare_core EXPORT pare LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(part pare_compress pare_cuda)
  if(TARGET ${part})
    install(TARGETS ${part} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
install(DIRECTORY include/pare DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT pare NAMESPACE pare:: DESTINATION ${package_dir} FILE pareTargets.cmake)
configure_package_config_file(cmake/pareConfig.cmake.in ${PROJECT_BINARY_DIR}/pareConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pareConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/pareConfig.cmake ${PROJECT_BINARY_DIR}/pareConfigVersion.cmake
  DESTINATION ${package_dir})
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
