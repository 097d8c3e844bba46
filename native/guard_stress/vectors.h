/* Fills every vector register, waits, and checks that none has changed. A signal in between must
 * not change them. */
#ifndef TORTURE_VECTORS_H
#define TORTURE_VECTORS_H

#include <stdint.h>
#include <string.h>

enum { VECTORS = 32 };

#if defined __x86_64__

#include <cpuid.h>

#define LOAD(n) "vmovdqu64 " #n "*64(%0), %%zmm" #n "\n"
#define STORE(n) "vmovdqu64 %%zmm" #n ", " #n "*64(%1)\n"
#define ALL(of)                                                                                  \
  of(0) of(1) of(2) of(3) of(4) of(5) of(6) of(7) of(8) of(9) of(10) of(11) of(12) of(13) of(14) \
      of(15) of(16) of(17) of(18) of(19) of(20) of(21) of(22) of(23) of(24) of(25) of(26) of(27) \
          of(28) of(29) of(30) of(31)
#define LOAD_LOW(n) "movdqu " #n "*64(%0), %%xmm" #n "\n"
#define STORE_LOW(n) "movdqu %%xmm" #n ", " #n "*64(%1)\n"
#define LOW(of)                                                                                  \
  of(0) of(1) of(2) of(3) of(4) of(5) of(6) of(7) of(8) of(9) of(10) of(11) of(12) of(13) of(14) \
      of(15)
#define TURN "1: pause\n dec %2\n jnz 1b\n"

__attribute__((target("avx512f"))) static void hold_wide(const void *from, void *to, long turns) {
  __asm__ volatile(ALL(LOAD) TURN ALL(STORE)
                   :
                   : "r"(from), "r"(to), "r"(turns)
                   : "memory", "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7",
                     "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", "zmm15", "zmm16",
                     "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24",
                     "zmm25", "zmm26", "zmm27", "zmm28", "zmm29", "zmm30", "zmm31");
}

static void hold_low(const void *from, void *to, long turns) {
  __asm__ volatile(LOW(LOAD_LOW) TURN LOW(STORE_LOW)
                   :
                   : "r"(from), "r"(to), "r"(turns)
                   : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                     "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

/* Whether the processor has registers of 512 bits, and the kernel saves them. */
static int has_wide(void) {
  static int known = -1; /* asking is slow in a virtual machine */
  unsigned a, b, c, d, saved;
  if (known >= 0) return known;
  known = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX512F)) return known;
  __asm__ volatile("xgetbv" : "=a"(saved) : "c"(0) : "edx");
  return known = (saved & 0xe6) == 0xe6;
}

static int vectors_survive(uint64_t seed, long turns) {
  uint64_t before[VECTORS * 8], after[VECTORS * 8];
  for (unsigned i = 0; i < VECTORS * 8; i++) before[i] = seed * 0x9e3779b97f4a7c15 + i;
  memcpy(after, before, sizeof after);
  if (has_wide()) hold_wide(before, after, turns);
  else hold_low(before, after, turns);
  return memcmp(before, after, sizeof after) == 0;
}

#else

/* clang-format would indent this list anew each time. */
/* clang-format off */
#define PAIR(of, a, b) #of " q" #a ", q" #b ", [%0, #(" #a "*16)]\n"
#define ALL(of)                                                                                 \
  PAIR(of, 0, 1) PAIR(of, 2, 3) PAIR(of, 4, 5) PAIR(of, 6, 7) PAIR(of, 8, 9) PAIR(of, 10, 11)   \
  PAIR(of, 12, 13) PAIR(of, 14, 15) PAIR(of, 16, 17) PAIR(of, 18, 19) PAIR(of, 20, 21)          \
  PAIR(of, 22, 23) PAIR(of, 24, 25) PAIR(of, 26, 27) PAIR(of, 28, 29) PAIR(of, 30, 31)
/* clang-format on */

static int vectors_survive(uint64_t seed, long turns) {
  uint64_t before[VECTORS * 2], after[VECTORS * 2];
  for (unsigned i = 0; i < VECTORS * 2; i++) before[i] = seed * 0x9e3779b97f4a7c15 + i;
  memset(after, 0, sizeof after);
  __asm__ volatile(
      ALL(ldp) "mov x9, %2\n1: yield\nsubs x9, x9, #1\nb.ne 1b\nmov x9, %1\n"
      "stp q0, q1, [x9], #32\nstp q2, q3, [x9], #32\nstp q4, q5, [x9], #32\n"
      "stp q6, q7, [x9], #32\nstp q8, q9, [x9], #32\nstp q10, q11, [x9], #32\n"
      "stp q12, q13, [x9], #32\nstp q14, q15, [x9], #32\nstp q16, q17, [x9], #32\n"
      "stp q18, q19, [x9], #32\nstp q20, q21, [x9], #32\nstp q22, q23, [x9], #32\n"
      "stp q24, q25, [x9], #32\nstp q26, q27, [x9], #32\nstp q28, q29, [x9], #32\n"
      "stp q30, q31, [x9], #32\n"
      :
      : "r"(before), "r"(after), "r"(turns)
      : "memory", "cc", "x9", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10",
        "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",
        "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
  return memcmp(before, after, sizeof after) == 0;
}

#endif
#endif
