/* What callers are told about handlers, and which handlers are guarded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "assertions.h"

void owners_see_their_own(void) {
  struct sigaction old;
  sigaction(FIRST, NULL, &old);
  expect(old.sa_sigaction == note && (old.sa_flags & ~0x04000000) == SA_SIGINFO,
         "sigaction tells the owner's handler and flags");
  set(FIRST, nest, SA_SIGINFO | SA_NODEFER, &old);
  expect(old.sa_sigaction == note && guarded(FIRST),
         "a handler that is changed is guarded, the old one told");
  sigaction(FIRST, &old, NULL);
  value_sent(FIRST, 3);
  expect(on_own_stack() && recorded.value == 3, "what was told as the old one can be put back");
  uint64_t entry = raw(FIRST).handler;
  sigaction(FIRST, NULL, &old);
  old.sa_flags |= SA_ONSTACK; /* as Go does */
  sigaction(FIRST, &old, NULL);
  value_sent(FIRST, 4);
  expect(on_own_stack() && guarded(FIRST),
         "SA_ONSTACK is added to it by sigaction: guarded all the same");
  sigaction(FIRST, NULL, &old);
  expect(old.sa_flags & SA_ONSTACK, "who added SA_ONSTACK sees it");
  set(FIRST, note, SA_SIGINFO, NULL);
  expect(raw(FIRST).handler == entry, "equal handlers share an entry");
  struct sigaction ignored = {.sa_handler = SIG_IGN};
  sigaction(FIRST, &ignored, &old);
  expect(raw(FIRST).handler == 1 && old.sa_sigaction == note, "it can be ignored");
  set(FIRST, note, SA_SIGINFO, &old);
  expect(old.sa_handler == SIG_IGN && guarded(FIRST), "and set again");
}

static void *cancelled(void *unused) {
  while (pause() == -1) {
  }
  return unused;
}

void others_are_left_alone(void) {
  struct sigaction plain = {.sa_handler = raise_within};
  sigaction(SECOND + 10, &plain, NULL);
  expect(!guarded(SECOND + 10), "a handler that is told no registers is left alone");
  set(SIGSEGV, note, SA_SIGINFO, NULL);
  expect(!guarded(SIGSEGV) && raw(SIGSEGV).handler == (uintptr_t)note,
         "a fault's handler is left alone");
  signal(SIGSEGV, SIG_DFL);
  if (dlopen("libgcc_s.so.1", RTLD_NOW) != NULL) { /* without it libc cannot cancel */
    pthread_t thread;
    pthread_create(&thread, NULL, cancelled, NULL);
    pthread_cancel(thread); /* libc sets its handler */
    pthread_join(thread, NULL);
    install();
    expect(raw(OF_LIBC).handler != 0 && !guarded(OF_LIBC), "libc's own are left alone");
  }
  char *gone = mapped(4096);
  set(SECOND, (Handler *)(void *)gone, SA_SIGINFO | SA_ONSTACK, NULL);
  munmap(gone, 4096);
  expect(install() >= 1 && raw(SECOND).handler == (uintptr_t)gone, "and one whose code is gone");
  signal(SECOND, SIG_DFL);
  expect(sigaction(99, &plain, NULL) == -1 && errno == EINVAL, "no such signal");
}

void called_by_another_handler(void) {
  uint64_t before = stats().unknown;
  Handler *entry = (Handler *)(uintptr_t)raw(FIRST).handler;
  siginfo_t info = {.si_signo = FIRST};
  ucontext_t context = {0};
#ifdef __GLIBC__ /* musl has no getcontext, and the handler does not look at the registers. */
  getcontext(&context);
#endif
  recorded.calls = 0;
  entry(FIRST, &info, &context);
  expect(recorded.calls == 1 && stats().unknown == before + 1,
         "another handler may call it as a function");
}

void several_guards(void) {
  uint64_t entry = raw(FIRST).handler;
  int32_t count = install();
  expect(count == install() && raw(FIRST).handler == entry, "installing again changes nothing");
  struct GuardStats other = {.size = sizeof other};
  expect(install_another() == count && raw(FIRST).handler == entry,
         "another guard leaves the first one's alone");
  stats_of_another(&other);
  expect(other.reason == GUARD_BY_ANOTHER && other.signals == 0 && other.others == stats().signals,
         "and says why");
  struct sigaction old;
  sigaction(FIRST, NULL, &old);
  expect(old.sa_sigaction == note, "the owner still sees its own");
}

void removing(void) {
  remove_another();
  expect(guarded(FIRST), "one of two guards is removed, the other's stays");
  expect(removed() > 0 && raw(FIRST).handler == (uintptr_t)note && !(raw(FIRST).flags & SA_ONSTACK),
         "after GuardRemove the handler is as it was");
  set(FIRST, nest, SA_SIGINFO, NULL);
  expect(raw(FIRST).handler == (uintptr_t)nest, "and a new one is not guarded");
  set(FIRST, note, SA_SIGINFO | SA_ONSTACK, NULL);
  install();
  expect(raw(FIRST).handler == (uintptr_t)note, "one that asks for the alternate stack gets it");
  struct sigaction of_go = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&of_go.sa_mask);
  sigaction(SIGFPE, &of_go, NULL);
  expect(install() > 0 && guarded(FIRST), "with Go there, one that has the flag is guarded");
  removed();
  sigaction(SECOND, &of_go, NULL);
  install();
  expect(!guarded(SECOND), "one that blocks everything, as Go's do, is not");
}

void every_entry_taken(void) {
  bool held = true;
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  for (unsigned i = 0; i < 100; i++) {
    sigemptyset(&action.sa_mask);
    for (int bit = 0; bit < 7; bit++) {
      if (i >> bit & 1) sigaddset(&action.sa_mask, 50 + bit);
    }
    held &= sigaction(FIRST, &action, NULL) == 0;
    value_sent(FIRST, (int)i);
    held &= recorded.value == (int)i;
  }
  expect(held && stats().full > 0, "with every entry taken, handlers still work, unguarded");
}
