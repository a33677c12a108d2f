# The heavy headers of other projects, parsed once for all files that include them. It is for
# speed alone: every file still includes what it uses, and CMAKE_DISABLE_PRECOMPILE_HEADERS=ON
# builds without.
#
# pare_precompiled(TARGETS targets HEADERS headers): the targets must be compiled alike.
function(pare_precompiled)
  cmake_parse_arguments(ARG "" "" "TARGETS;HEADERS" ${ARGN})
  list(POP_FRONT ARG_TARGETS first)
  target_precompile_headers(${first} PRIVATE ${ARG_HEADERS})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${first} PRIVATE -fpch-preprocess)  # for ccache
  endif()
  foreach(target ${ARG_TARGETS})
    target_precompile_headers(${target} REUSE_FROM ${first})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE -fpch-preprocess)
    endif()
  endforeach()
endfunction()
