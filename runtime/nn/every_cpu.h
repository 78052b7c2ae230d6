#pragma once

// One copy of a function a generation of x86 (AVX-512, AVX2, SSE2), picked by the loader; elsewhere the compiler's own target.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define HERD_EVERY_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define HERD_EVERY_CPU
#endif
#define HERD_INLINE inline __attribute__((always_inline))
