/* What the entries, which the kernel jumps to, share with the rest of the guard. */
#ifndef GUARD_ENTRY_H
#define GUARD_ENTRY_H

#include "core.h"

/* One entry's handler. Never changes once it is `ready`, so a signal needs no lock to read it. The
 * layout is known to entry.c and to other guards in the same process. */
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
  GuardSlot **sharers; /* guard_sharers of the guard; NULL in one that is older than sharing */
  uint64_t free[3];
};

_Static_assert(sizeof(GuardSlot) == 64, "entry.c knows the size of a slot");

enum { GUARD_SLOTS = 64, GUARD_TAKEN = 1, GUARD_READY = 2 };

/* 64 bytes of code each. By the mark at byte 8 another guard knows it, by the distance at 16 (from
 * there to the slot) what it stands for. */
enum { GUARD_ENTRY_BYTES = 64, GUARD_MARK_AT = 8, GUARD_SLOT_AT = 16 };
#define GUARD_MARK UINT64_C(0x3164726175476f47) /* "GoGuard1" */

extern GUARD_HIDDEN GuardSlot guard_slots[GUARD_SLOTS];
extern GUARD_HIDDEN const char guard_entries[];

/* For each signal, what a library asked for that shares it with the program; NULL where none does. */
extern GUARD_HIDDEN GuardSlot *guard_sharers[GUARD_SIGNALS];

/* Called by an entry, on the alternate stack or wherever the kernel put the frame. `record` is the
 * frame record on arm64, and of no use elsewhere. `*chosen` is the slot whose handler the entry calls.
 * Returns by how much to move: the stack pointer, the siginfo and the ucontext; 0 leaves all where it
 * is. */
GUARD_HIDDEN intptr_t guard_place(uintptr_t frame, uintptr_t info, uintptr_t context,
                                  uintptr_t record, int signal, const GuardSlot **chosen);

/* Of a fault, only handlers that are for once alone have an entry: puts the fault's action back to the
 * default, as the kernel does before it calls one. False for any other signal. */
GUARD_HIDDEN bool guard_reset_fault(int signal);

/* Whether `sp` is on the calling thread's own stack, and as many bytes below it as are needed. */
typedef enum { STACK_OTHER, STACK_OWN, STACK_FULL, STACK_UNKNOWN } GuardStack;
GUARD_HIDDEN GuardStack guard_stack_of(uintptr_t sp, uintptr_t needed);

/* The slot of the library that is to get this signal; NULL where the program is to. */
GUARD_HIDDEN const GuardSlot *guard_sharer_of(int signal, const siginfo_t *info);

#endif
