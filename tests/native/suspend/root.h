#pragma once
#include <stdint.h>
#define OS(x) OS_##x
#define CPU(x) CPU_##x
#ifdef __linux__
#define OS_LINUX 1
#else
#define OS_LINUX 0
#endif
#ifdef __x86_64__
#define CPU_X86_64 1
#else
#define CPU_X86_64 0
#endif
#ifdef __aarch64__
#define CPU_ARM64 1
#else
#define CPU_ARM64 0
#endif
