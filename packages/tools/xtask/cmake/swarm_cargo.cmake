# Installs the executables of the node crate in whose folder the including CMakeLists.txt lies.
#
#   include(../../tools/xtask/cmake/swarm_cargo.cmake)
#   swarm_cargo_package([PROGRAMS] [LIBRARIES libmujoco.so ...])
#
# With PROGRAMS they are for an operator's shell and go into bin/, which ament's environment hook puts on the PATH; without, they
# are for ros2 run and go into lib/<package>/.
#
# cargo compiles them through `cargo xtask stage-package`, in the environment that all commands of the project share, so
# that nothing is compiled twice. CMAKE_BUILD_TYPE=Debug selects cargo's dev profile, anything else its release profile.
# LIBRARIES name libraries of `.ros/native` that are installed beside; the environment hook tells ONNX Runtime's place.
set(SWARM_CARGO_DIR "${CMAKE_CURRENT_LIST_DIR}")

macro(swarm_cargo_package)
  cmake_parse_arguments(SWARM "PROGRAMS" "" "LIBRARIES" ${ARGN})
  if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    set(swarm_profile dev)
  else()
    set(swarm_profile release)
  endif()
  get_filename_component(swarm_root "${SWARM_CARGO_DIR}/../../../.." ABSOLUTE)
  set(swarm_staged "${CMAKE_CURRENT_BINARY_DIR}/staged")
  add_custom_target(${PROJECT_NAME}_cargo ALL
    COMMAND cargo xtask stage-package --profile ${swarm_profile} --out "${swarm_staged}" ${PROJECT_NAME} ${SWARM_LIBRARIES}
    WORKING_DIRECTORY "${swarm_root}"
    COMMENT "cargo build (${swarm_profile})"
    VERBATIM)
  if(SWARM_PROGRAMS)
    set(swarm_destination bin)
  else()
    set(swarm_destination lib/${PROJECT_NAME})
  endif()
  install(DIRECTORY "${swarm_staged}/bin/" DESTINATION ${swarm_destination} USE_SOURCE_PERMISSIONS)
  # Message packages that the sourced ROS lacks; mostly nothing. colcon sees their libraries and Python modules, and hooks them in.
  install(DIRECTORY "${swarm_staged}/messages/" DESTINATION . USE_SOURCE_PERMISSIONS)
  if(SWARM_LIBRARIES)
    install(DIRECTORY "${swarm_staged}/lib/" DESTINATION lib USE_SOURCE_PERMISSIONS)
    ament_environment_hooks("${ament_cmake_package_templates_ENVIRONMENT_HOOK_LIBRARY_PATH}")
  endif()
  if("libonnxruntime.so" IN_LIST SWARM_LIBRARIES)
    ament_environment_hooks("${SWARM_CARGO_DIR}/onnxruntime.dsv.in" "${SWARM_CARGO_DIR}/onnxruntime.sh.in")
  endif()
  file(GLOB swarm_launch_files "${CMAKE_CURRENT_SOURCE_DIR}/launch/*.launch.py")
  if(swarm_launch_files)
    install(FILES ${swarm_launch_files} DESTINATION share/${PROJECT_NAME}/launch)
  endif()
endmacro()
