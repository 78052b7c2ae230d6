// Carries the shared precompiled header; see house.cmake.
