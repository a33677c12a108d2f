# A room is a folder of src/ built as one object library. Sources are found, not listed: a new
# file is picked up by itself, and `*_test.cpp` beside it becomes part of `<room>_test`.

add_library(pare_options INTERFACE)
target_include_directories(pare_options INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_compile_definitions(pare_options INTERFACE PARE_VERSION="${PROJECT_VERSION}")
# The host's compiler; nvcc has options of its own.
function(pare_compile_options)
  target_compile_options(pare_options INTERFACE "$<$<COMPILE_LANGUAGE:C,CXX>:${ARGN}>")
endfunction()
pare_compile_options(-Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers
  -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # "text" + std::string warns without reason in gcc 12 (its bug 105651), with sanitizers also of
  # values that may be uninitialized.
  pare_compile_options(-Wno-restrict)
  if(PARE_SANITIZE)
    pare_compile_options(-Wno-maybe-uninitialized)
  endif()
endif()
if(PARE_WERROR)
  pare_compile_options(-Werror)
endif()
if(PARE_SANITIZE)
  pare_compile_options(-fsanitize=${PARE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(pare_options INTERFACE -fsanitize=${PARE_SANITIZE})
endif()
if(PARE_FUZZ)
  pare_compile_options(-fsanitize=fuzzer-no-link)
endif()

# pare_room(NAME [FOLDER dir] [ROOMS used rooms] [USES libraries] [EXCLUDE sub-folders])
function(pare_room name)
  cmake_parse_arguments(ARG "" "FOLDER" "ROOMS;USES;EXCLUDE" ${ARGN})
  if(NOT ARG_FOLDER)
    set(ARG_FOLDER ${name})
  endif()
  set(dir ${PROJECT_SOURCE_DIR}/src/${ARG_FOLDER})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  foreach(excluded ${ARG_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX "^${dir}/${excluded}/")
  endforeach()
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cpp$")
  if(NOT sources)
    add_library(room_${name} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(room_${name} OBJECT ${sources})
    set(scope PUBLIC)
  endif()
  target_link_libraries(room_${name} ${scope} pare_options ${ARG_USES})
  foreach(room ${ARG_ROOMS})
    target_link_libraries(room_${name} ${scope} room_${room})
  endforeach()
  set_property(GLOBAL PROPERTY pare_tests_${name} "${tests}")
  set_property(GLOBAL PROPERTY pare_uses_${name} "${ARG_USES}")
endfunction()

# pare_room_tests(NAME LINK libraries [LABELS labels]): the tests beside a room's code.
function(pare_room_tests name)
  cmake_parse_arguments(ARG "" "" "LINK;LABELS" ${ARGN})
  get_property(tests GLOBAL PROPERTY pare_tests_${name})
  get_property(uses GLOBAL PROPERTY pare_uses_${name})
  if(PARE_TESTS AND tests)
    pare_test(${name}_test SOURCES ${tests} LINK ${ARG_LINK} ${uses} LABELS ${ARG_LABELS})
  endif()
endfunction()

# pare_library(NAME ROOMS rooms [SOURCES files] [LINK libraries] [TEST_LABELS labels]): a shared
# library of rooms, and their tests.
function(pare_library name)
  cmake_parse_arguments(ARG "" "" "ROOMS;SOURCES;LINK;TEST_LABELS" ${ARGN})
  add_library(${name} SHARED ${ARG_SOURCES})
  foreach(room ${ARG_ROOMS})
    get_target_property(type room_${room} TYPE)
    if(type STREQUAL OBJECT_LIBRARY)
      target_sources(${name} PRIVATE $<TARGET_OBJECTS:room_${room}>)
    endif()
    get_target_property(uses room_${room} INTERFACE_LINK_LIBRARIES)
    foreach(used ${uses})
      if(NOT used MATCHES "^room_")
        target_link_libraries(${name} PRIVATE ${used})
      endif()
    endforeach()
  endforeach()
  target_link_libraries(${name} PUBLIC ${ARG_LINK})
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  set_target_properties(${name} PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR} INSTALL_RPATH "$ORIGIN"
    INSTALL_RPATH_USE_LINK_PATH ON)  # a libtorch that is not the system's is found there
  set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  foreach(room ${ARG_ROOMS})
    pare_room_tests(${room} LINK ${name} LABELS ${ARG_TEST_LABELS})
  endforeach()
endfunction()

# What the labels unit and fuzz run, without the command line.
add_custom_target(unit_tests)

# pare_test(NAME SOURCES ... LINK ... [LABELS ...]): a GoogleTest program; each case is a test.
function(pare_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  if(NOT ARG_LABELS STREQUAL gpu)
    add_dependencies(unit_tests ${name})
  endif()
  target_link_libraries(${name} PRIVATE pare_options ${ARG_LINK} fmt::fmt
    nlohmann_json::nlohmann_json GTest::gtest_main GTest::gmock)
  target_compile_definitions(${name} PRIVATE PARE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  include(GoogleTest)
  gtest_discover_tests(${name} PROPERTIES LABELS "${ARG_LABELS}" DISCOVERY_TIMEOUT 60)
endfunction()
