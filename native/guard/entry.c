/* The code that the kernel jumps to in place of a handler. */
#include "entry.h"

#ifdef __linux__

/* An entry stores its slot and jumps to the part that all entries share. That part saves the
 * handler's arguments. It calls guard_place, which decides where the frame belongs and which
 * handler to call. It changes nothing else that the kernel set. The return address stays too, so
 * shadow stacks and debuggers see no difference. */
/* clang-format off */
#if defined __x86_64__

#define ENTRY(n)                                    \
  "endbr64\n"                                       \
  "jmp 1f\n"                                        \
  ".balign 8\n"                                     \
  ".quad 0x3164726175476f47\n"                      \
  ".quad guard_slots + 64 * (" n ") - .\n"          \
  "1: leaq guard_slots + 64 * (" n ")(%rip), %r11\n" \
  "jmp guard_entered\n"                             \
  ".balign 64\n"

#define SHARED                    \
  "guard_entered:\n"              \
  "movq %rsp, %rax\n"             \
  "pushq %rdi\n"                  \
  "pushq %rsi\n"                  \
  "pushq %rdx\n"                  \
  "pushq %r11\n"                  \
  "subq $8, %rsp\n"               \
  "movl %edi, %r8d\n"             \
  "movq %rax, %rdi\n"             \
  "cld\n"                         \
  "xorl %ecx, %ecx\n"             \
  "leaq 8(%rsp), %r9\n"           \
  "call guard_place\n"            \
  "addq $8, %rsp\n"               \
  "popq %r11\n"                   \
  "popq %rdx\n"                   \
  "popq %rsi\n"                   \
  "popq %rdi\n"                   \
  "addq %rax, %rdx\n"             \
  "addq %rax, %rsi\n"             \
  "addq %rax, %rsp\n"             \
  "xorl %eax, %eax\n"             \
  "jmpq *(%r11)\n"

#elif defined __aarch64__

#define ENTRY(n)                                          \
  "bti c\n"                                               \
  "b 1f\n"                                                \
  ".quad 0x3164726175476f47\n"                            \
  ".quad guard_slots + 64 * (" n ") - .\n"                \
  "1: adrp x16, guard_slots + 64 * (" n ")\n"             \
  "add x16, x16, :lo12:(guard_slots + 64 * (" n "))\n"    \
  "b guard_entered\n"                                     \
  ".balign 64\n"

#define SHARED                    \
  "guard_entered:\n"              \
  "mov x5, sp\n"                  \
  "stp x29, x30, [sp, #-48]!\n"   \
  "stp x0, x1, [sp, #16]\n"       \
  "stp x2, x16, [sp, #32]\n"      \
  "mov x3, x29\n"                 \
  "mov w4, w0\n"                  \
  "mov x0, x5\n"                  \
  "add x5, sp, #40\n"             \
  "bl guard_place\n"              \
  "mov x3, x0\n"                  \
  "ldp x2, x16, [sp, #32]\n"      \
  "ldp x0, x1, [sp, #16]\n"       \
  "ldp x29, x30, [sp], #48\n"     \
  "add x1, x1, x3\n"              \
  "add x2, x2, x3\n"              \
  "add x29, x29, x3\n"            \
  "add x4, sp, x3\n"              \
  "mov sp, x4\n"                  \
  "ldr x16, [x16]\n"              \
  "br x16\n"

#else
#error "the guard knows x86-64 and arm64"
#endif

#define EIGHT(n) \
  ENTRY(n "+0") ENTRY(n "+1") ENTRY(n "+2") ENTRY(n "+3") \
  ENTRY(n "+4") ENTRY(n "+5") ENTRY(n "+6") ENTRY(n "+7")
/* clang-format on */

__asm__(
    ".pushsection .text\n"
    ".balign 64\n"
    ".hidden guard_entries\n"
    ".globl guard_entries\n"
    "guard_entries:\n" EIGHT("0") EIGHT("8") EIGHT("16") EIGHT("24") EIGHT("32") EIGHT("40")
        EIGHT("48") EIGHT("56") SHARED
    ".hidden guard_entries_end\n"
    ".globl guard_entries_end\n"
    "guard_entries_end:\n"
    ".popsection\n");

#endif
