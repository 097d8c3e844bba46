/* Declarations that the entries share with the rest of the guard. The kernel jumps to the
 * entries. */
#ifndef GUARD_ENTRY_H
#define GUARD_ENTRY_H

#include "core.h"

/* The handler of one entry. It never changes once it is `ready`, so a signal needs no lock to
 * read it. entry.c and other guards in the process know the layout. */
typedef struct GuardSlot GuardSlot;
struct GuardSlot {
  union {
    uint64_t handler;
    void (*function)(void);
  };
  uint64_t flags; /* as its owner, or Go, last set them */
  uint64_t mask;
  uint32_t state; /* 0, TAKEN, or READY */
  uint32_t unused;
  GuardSlot **sharers; /* guard_sharers of the guard; NULL in a guard that is too old to share */
  const uint64_t *kept; /* guard_kept of the guard; NULL in a guard that is older than this field */
  uint64_t free[2];
};

_Static_assert(sizeof(GuardSlot) == 64, "entry.c knows the size of a slot");

enum { GUARD_SLOTS = 64, GUARD_TAKEN = 1, GUARD_READY = 2 };

/* For variables of a thread, so that a handler may read them. musl rejects this in dlopen, and
 * allocates all threads' memory before. */
#ifdef __GLIBC__
#define GUARD_TLS __attribute__((tls_model("initial-exec")))
#else
#define GUARD_TLS
#endif

/* 64 bytes of code each. Another guard recognises an entry by the mark at byte 8. The distance
 * at byte 16 leads from there to the slot. */
enum { GUARD_ENTRY_BYTES = 64, GUARD_MARK_AT = 8, GUARD_SLOT_AT = 16 };
#define GUARD_MARK UINT64_C(0x3164726175476f47) /* "GoGuard1" */

extern GUARD_HIDDEN GuardSlot guard_slots[GUARD_SLOTS];
extern GUARD_HIDDEN const char guard_entries[], guard_entries_end[];

/* For each signal, the action of a library that shares the signal with the program; NULL if none
 * does. */
extern GUARD_HIDDEN GuardSlot *guard_sharers[GUARD_SIGNALS];

/* Bit N-1: the guard keeps its entry in place for signal N. */
extern GUARD_HIDDEN uint64_t guard_kept;

/* An entry calls this on the alternate stack, or wherever the kernel put the frame. `record` is
 * the frame record on arm64, and unused elsewhere. `*chosen` is the slot whose handler the entry
 * calls. Returns the distance by which to move the stack pointer, the siginfo and the ucontext;
 * 0 moves nothing. */
GUARD_HIDDEN intptr_t guard_place(uintptr_t frame, uintptr_t info, uintptr_t context,
                                  uintptr_t record, int signal, const GuardSlot **chosen);

/* Sends the signal to the calling thread again, and blocks it until the interrupted handler has
 * ended. False if the kernel refuses; then nothing has changed. */
GUARD_HIDDEN bool guard_defer(int signal, const siginfo_t *info, uint64_t *interrupted_mask);

/* A handler that does nothing. */
extern GUARD_HIDDEN const GuardSlot guard_nothing;

/* Only fault handlers with SA_RESETHAND have an entry. Resets the fault's action to the default,
 * as the kernel does before it calls such a handler. False for any other signal. */
GUARD_HIDDEN bool guard_reset_fault(int signal);

/* Whether `sp` is on the calling thread's own stack, with the needed number of bytes below it. */
typedef enum { STACK_OTHER, STACK_OWN, STACK_FULL, STACK_UNKNOWN } GuardStack;
GUARD_HIDDEN GuardStack guard_stack_of(uintptr_t sp, uintptr_t needed);

/* If the program's handler waits in sigsuspend for the program's next signal, makes it wait on
 * when this signal's handler returns. Otherwise the program would take a library's signal for its
 * own, and let a suspended thread run. False if the signal interrupted anything else. */
GUARD_HIDDEN bool guard_wait_again(int signal, ucontext_t *interrupted);

/* The slot of the library that gets this signal; NULL if the program gets it. If the program has
 * suspended the thread, the library gets the signal after that. */
GUARD_HIDDEN const GuardSlot *guard_sharer_of(int signal, const siginfo_t *info,
                                              ucontext_t *interrupted);

#endif
