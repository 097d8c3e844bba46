/* `suspend`: puts the guard's core between every caller of sigaction and libc.
 *
 * Go is such a caller too. A library built with cgo makes Go's runtime call libc's sigaction, so
 * everything that it reads and sets passes through here. */
#define _GNU_SOURCE
#include "preload.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "action.h"

typedef void Handler(int);

/* libc's other names of sigaction and signal. They are bound when this library is loaded, so a
 * handler or a child of vfork needs no lookup. */
#ifdef __GLIBC__
extern int __sigaction(int, const struct sigaction *, struct sigaction *);
extern Handler *ssignal(int, Handler *);
static void bind_sigaction(void) {}
#else
extern Handler *bsd_signal(int, Handler *);
#define ssignal bsd_signal

/* musl has no other name of sigaction, so it is looked up: by this library's constructor, or by
 * a constructor that runs before it and calls sigaction. It is looked up in libc, because the next
 * library may be a second copy of this one, and would guard what is guarded already. */
typedef int Sigaction(int, const struct sigaction *, struct sigaction *);
static _Atomic(Sigaction *) libc_sigaction;

static void bind_sigaction(void) {
  if (atomic_load(&libc_sigaction) != NULL) return;
  void *libc = dlopen("libc.so", RTLD_LAZY | RTLD_NOLOAD); /* musl's loader is its libc */
  void *found = dlsym(libc != NULL ? libc : RTLD_NEXT, "sigaction");
  atomic_store(&libc_sigaction, (Sigaction *)found);
}

static int __sigaction(int number, const struct sigaction *action, struct sigaction *before) {
  bind_sigaction();
  return atomic_load(&libc_sigaction)(number, action, before);
}
#endif

static atomic_bool ready;

/* With GO_GUARD_DEBUG=1, asks the kernel for everything that is guarded. */
static bool is_guarded(int number) {
  uint64_t others, own = guard_wrapped(&others);
  return number > 0 && number <= GUARD_SIGNALS && own >> (number - 1) & 1;
}

EXPORT int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
  if (!atomic_load(&ready)) return __sigaction(number, action, before);
  bool logs = action != NULL && preload_loud(), was_guarded = logs && is_guarded(number);
  int result = guard_sigaction(__sigaction, __builtin_return_address(0), number, action, before);
  if (logs && is_guarded(number) && !was_guarded)
    preload_note("guards the handler of signal ", number);
  return result;
}

/* Whether a library uses a signal that the guard keeps for the program. */
static bool shares(const void *caller, int number, Handler *handler, struct sigaction *before) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
  if (number < 1 || number > GUARD_SIGNALS || handler == SIG_ERR) return false;
  sigaddset(&action.sa_mask, number);
  return !guard_in_program((uintptr_t)caller) && guard_share(number, &action, before);
}

/* A handler that is set this way gets no registers and needs no guard. The handler that it
 * replaces may have had one. */
EXPORT Handler *signal(int number, Handler *handler) {
  if (!atomic_load(&ready)) return ssignal(number, handler);
  const void *caller = __builtin_return_address(0);
  struct sigaction before;
  if (shares(caller, number, handler, &before)) return before.sa_handler;
  bool known = guard_sigaction(__sigaction, caller, number, NULL, &before) == 0;
  Handler *previous = ssignal(number, handler);
  return known && previous != SIG_ERR ? before.sa_handler : previous;
}

__attribute__((constructor)) static void start(void) {
  bind_sigaction();
  if (!(preload_chosen() & SUSPEND)) return;
  if (!guard_prepare()) {
    preload_note("guards nothing: the kernel does not tell where the main stack is in process ",
                 (unsigned long)getpid());
    return;
  }
  atomic_store(&ready, true);
  guard_watch_sends();
  guard_wrap_all(); /* handlers of libraries whose constructors ran before */
}
