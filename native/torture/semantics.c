/* semantics GUARD ANOTHER-GUARD: asks of the guard, one by one, what a handler may rely on. Prints a
 * line for each: `ok …` or `FAILED …`. Exit code 1 if any failed. No Go takes part: what Go does to a
 * handler, adding SA_ONSTACK to it, is done here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "../guard/go-guard.h"

enum { ALTERNATE_BYTES = 64 << 10, FIRST = 40, SECOND = 41, WANTS_ALTERNATE = 42 };

typedef void Handler(int, siginfo_t *, void *);
typedef struct {
  uint64_t handler, flags, restorer, mask;
} Raw;

static int32_t (*install)(void), (*removed)(void), (*stats_of)(struct GuardStats *);
static int32_t (*install_another)(void), (*remove_another)(void), (*stats_of_another)(struct GuardStats *);
static char alternate[ALTERNATE_BYTES];
static bool failed;

static void expect(bool holds, const char *what) {
  printf("%s %s\n", holds ? "ok" : "FAILED", what);
  fflush(stdout);
  failed |= !holds;
}

static struct GuardStats stats(void) {
  struct GuardStats found = {.size = sizeof found};
  stats_of(&found);
  return found;
}

static Raw raw(int signal) {
  Raw found;
  syscall(SYS_rt_sigaction, signal, NULL, &found, 8);
  return found;
}

static bool guarded(int signal) {
  return stats().signals >> (signal - 1) & 1 && raw(signal).flags & SA_ONSTACK;
}

static int set(int signal, Handler *handler, int flags, struct sigaction *old) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags};
  sigemptyset(&action.sa_mask);
  return sigaction(signal, &action, old);
}

static bool on_alternate(const void *place) {
  return (const char *)place >= alternate && (const char *)place < alternate + sizeof alternate;
}

/* What the last handler saw. */
static struct {
  uintptr_t sp, interrupted;
  int number, value, calls, outer_value;
  bool context_on_alternate, altstack_in_use, nested_well;
} seen;

static uintptr_t stack_pointer(const ucontext_t *context) {
#if defined __x86_64__
  return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#else
  return context->uc_mcontext.sp;
#endif
}

static void note(int number, siginfo_t *info, void *context) {
  stack_t now;
  sigaltstack(NULL, &now);
  seen.sp = (uintptr_t)__builtin_frame_address(0);
  seen.interrupted = stack_pointer(context);
  seen.number = number;
  seen.value = info->si_value.sival_int;
  seen.calls++;
  seen.context_on_alternate = on_alternate(context) || on_alternate(info);
  seen.altstack_in_use = now.ss_flags & SS_ONSTACK;
}

static bool on_own_stack(void) {
  return !on_alternate((void *)seen.sp) && !seen.context_on_alternate && !seen.altstack_in_use &&
         seen.sp < seen.interrupted && seen.interrupted - seen.sp < 1 << 18;
}

static void nest(int number, siginfo_t *info, void *context) {
  ucontext_t before = *(ucontext_t *)context;
  int value = info->si_value.sival_int;
  sigqueue(getpid(), SECOND, (union sigval){.sival_int = value + 1});
  seen.nested_well = on_own_stack() && seen.number == SECOND && seen.value == value + 1 &&
                     seen.sp < (uintptr_t)&before && info->si_value.sival_int == value &&
                     memcmp(&before.uc_mcontext, &((ucontext_t *)context)->uc_mcontext,
                            64) == 0;
  note(number, info, context);
}

static sigjmp_buf away;

static void leave(int number, siginfo_t *info, void *context) {
  note(number, info, context);
  siglongjmp(away, 1);
}

static void raise_within(int number) {
  (void)number;
  raise(FIRST);
}

static int value_sent(int signal, int value) {
  seen.calls = 0;
  return sigqueue(getpid(), signal, (union sigval){.sival_int = value});
}

static void handlers_run_on_their_own_stack(void) {
  value_sent(FIRST, 77);
  expect(seen.calls == 1 && on_own_stack(), "handler, siginfo and ucontext are on the thread's own stack");
  expect(seen.number == FIRST && seen.value == 77, "siginfo is the kernel's");
  stack_t now;
  sigaltstack(NULL, &now);
  expect(now.ss_sp == alternate && now.ss_size == sizeof alternate && now.ss_flags == 0,
         "the alternate stack's settings are as they were");
#if defined __x86_64__
  uint64_t zone[16];
  for (int i = 0; i < 16; i++) zone[i] = 0x1111111111111111u * (unsigned)(i % 15 + 1);
  long result = SYS_tgkill;
  bool kept = true;
  for (int i = 1; i <= 16; i++) {
    uint64_t found;
    result = SYS_tgkill;
    __asm__ volatile("movq %[value], -128(%%rsp)\nmovq %[value], -8(%%rsp)\nsyscall\n"
                     "movq -128(%%rsp), %[found]\nxorq -8(%%rsp), %[found]"
                     : "+a"(result), [found] "=&r"(found)
                     : "D"((long)getpid()), "S"(syscall(SYS_gettid)), "d"((long)FIRST), [value] "r"(zone[i - 1])
                     : "rcx", "r11", "memory");
    kept &= result == 0 && found == 0;
  }
  expect(kept, "the red zone is left alone");
#endif
}

static void handlers_nest(void) {
  set(FIRST, nest, SA_SIGINFO, NULL);
  value_sent(FIRST, 5);
  expect(seen.nested_well && seen.calls == 2, "a handler within a handler; the outer one's context stays");
  set(FIRST, leave, SA_SIGINFO, NULL);
  volatile int left = 0;
  for (volatile int i = 0; i < 1000; i++) {
    if (sigsetjmp(away, 1) == 0) raise(FIRST);
    else left++;
  }
  expect(left == 1000 && on_own_stack(), "a handler may leave by siglongjmp");
  set(FIRST, note, SA_SIGINFO, NULL);
  struct sigaction wants = {.sa_handler = raise_within, .sa_flags = SA_ONSTACK};
  sigaction(WANTS_ALTERNATE, &wants, NULL);
  uint64_t before = stats().foreign;
  raise(WANTS_ALTERNATE);
  expect(on_alternate((void *)seen.sp) && stats().foreign == before + 1,
         "interrupted on the alternate stack, it is called there");
}

static void owners_see_their_own(void) {
  struct sigaction old;
  sigaction(FIRST, NULL, &old);
  expect(old.sa_sigaction == note && (old.sa_flags & ~0x04000000) == SA_SIGINFO,
         "sigaction tells the owner's handler and flags");
  set(FIRST, nest, SA_SIGINFO | SA_NODEFER, &old);
  expect(old.sa_sigaction == note && guarded(FIRST), "a handler that is changed is guarded, the old one told");
  sigaction(FIRST, &old, NULL);
  value_sent(FIRST, 3);
  expect(on_own_stack() && seen.value == 3, "what was told as the old one can be put back");
  uint64_t entry = raw(FIRST).handler;
  sigaction(FIRST, NULL, &old);
  old.sa_flags |= SA_ONSTACK; /* as Go does */
  sigaction(FIRST, &old, NULL);
  value_sent(FIRST, 4);
  expect(on_own_stack() && guarded(FIRST), "SA_ONSTACK is added to it by sigaction: guarded all the same");
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

static void others_are_left_alone(void) {
  struct sigaction plain = {.sa_handler = raise_within};
  sigaction(SECOND + 10, &plain, NULL);
  expect(!guarded(SECOND + 10), "a handler that is told no registers is left alone");
  set(SIGSEGV, note, SA_SIGINFO, NULL);
  expect(!guarded(SIGSEGV) && raw(SIGSEGV).handler == (uintptr_t)note, "a fault's handler is left alone");
  signal(SIGSEGV, SIG_DFL);
  expect(sigaction(99, &plain, NULL) == -1 && errno == EINVAL, "no such signal");
}

static void *raise_in_thread(void *data) {
  raise(*(int *)data);
  return NULL;
}

static void *raise_at_the_end(void *data) {
  pthread_attr_t attributes;
  size_t size;
  void *low;
  char own[ALTERNATE_BYTES];
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  sigaltstack(&(stack_t){.ss_sp = data, .ss_size = ALTERNATE_BYTES}, NULL);
  (void)own;
  size_t used = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)low - (6 << 10);
  volatile char *fill = __builtin_alloca(used);
  fill[0] = fill[used - 1] = 1;
  raise(FIRST);
  return NULL;
}

static void in_other_threads(void) {
  pthread_t thread;
  int number = FIRST;
  uint64_t before = stats().direct;
  pthread_create(&thread, NULL, raise_in_thread, &number);
  pthread_join(thread, NULL);
  expect(seen.number == FIRST && stats().direct == before + 1, "a thread without an alternate stack");
  pthread_attr_t attributes;
  char *own = malloc(ALTERNATE_BYTES);
  before = stats().tight;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 4 * ALTERNATE_BYTES);
  pthread_create(&thread, &attributes, raise_at_the_end, own);
  pthread_join(thread, NULL);
  expect(stats().tight == before + 1 && seen.sp - (uintptr_t)own < ALTERNATE_BYTES,
         "where the own stack has no room left, it is called on the alternate one");
  free(own);
}

static int in_child(pid_t child) {
  int status;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void in_other_processes(void) {
  pid_t child = fork();
  if (child == 0) {
    value_sent(FIRST, 9);
    _exit(on_own_stack() && seen.value == 9 ? 7 : 8);
  }
  expect(in_child(child) == 7, "in a child after fork");
  child = vfork();
  if (child == 0) {
    syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), FIRST);
    _exit(on_own_stack() ? 7 : 8);
  }
  expect(in_child(child) == 7, "in a child of vfork");
}

static void calls_go_on(void) {
  int ends[2];
  char byte = 0;
  if (pipe(ends) != 0) return;
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    usleep(20000);
    for (int i = 0; i < 5; i++) {
      kill(parent, FIRST);
      usleep(2000);
    }
    if (write(ends[1], "x", 1) != 1) _exit(1);
    _exit(0);
  }
  set(FIRST, note, SA_SIGINFO | SA_RESTART, NULL);
  seen.calls = 0;
  bool went_on = read(ends[0], &byte, 1) == 1 && byte == 'x' && seen.calls > 0;
  in_child(child);
  expect(went_on, "a read that is interrupted goes on with SA_RESTART");
  set(FIRST, note, SA_SIGINFO, NULL);
  child = fork();
  if (child == 0) {
    usleep(20000);
    kill(parent, FIRST);
    _exit(0);
  }
  expect(read(ends[0], &byte, 1) == -1 && errno == EINTR, "and is broken off without it");
  in_child(child);
}

static int order[8], arrived;

static void enlist(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  order[arrived++] = info->si_value.sival_int;
}

static void queued_signals(void) {
  sigset_t held, old;
  set(SECOND, enlist, SA_SIGINFO, NULL);
  sigemptyset(&held);
  sigaddset(&held, SECOND);
  sigprocmask(SIG_BLOCK, &held, &old);
  for (int i = 0; i < 8; i++) value_sent(SECOND, i);
  sigprocmask(SIG_SETMASK, &old, NULL);
  bool in_order = arrived == 8;
  for (int i = 0; i < 8; i++) in_order &= order[i] == i;
  expect(in_order, "queued signals arrive, each with its value");
}

static void called_by_another_handler(void) {
  uint64_t before = stats().unknown;
  Handler *entry = (Handler *)(uintptr_t)raw(FIRST).handler;
  siginfo_t info = {.si_signo = FIRST};
  ucontext_t context;
  getcontext(&context);
  seen.calls = 0;
  entry(FIRST, &info, &context);
  expect(seen.calls == 1 && stats().unknown == before + 1, "another handler may call it as a function");
}

static void several_guards(void) {
  uint64_t entry = raw(FIRST).handler;
  int32_t count = install();
  expect(count == install() && raw(FIRST).handler == entry, "installing again changes nothing");
  struct GuardStats other = {.size = sizeof other};
  expect(install_another() == count && raw(FIRST).handler == entry, "another guard leaves the first one's alone");
  stats_of_another(&other);
  expect(other.reason == GUARD_BY_ANOTHER && other.signals == 0 && other.others == stats().signals,
         "and says why");
  struct sigaction old;
  sigaction(FIRST, NULL, &old);
  expect(old.sa_sigaction == note, "the owner still sees its own");
}

static void removing(void) {
  remove_another();
  expect(guarded(FIRST), "one of two guards is removed, the other's stays");
  expect(removed() > 0 && raw(FIRST).handler == (uintptr_t)note && !(raw(FIRST).flags & SA_ONSTACK),
         "after GuardRemove the handler is as it was");
  set(FIRST, nest, SA_SIGINFO, NULL);
  expect(raw(FIRST).handler == (uintptr_t)nest, "and a new one is not guarded");
  set(FIRST, note, SA_SIGINFO | SA_ONSTACK, NULL);
  expect(install() > 0 && guarded(FIRST), "one that has the flag already is guarded, as after Go");
  struct sigaction crash = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&crash.sa_mask);
  removed();
  sigaction(SECOND, &crash, NULL);
  install();
  expect(!guarded(SECOND), "one that blocks everything, as Go's do, is not");
}

static void every_entry_taken(void) {
  bool held = true;
  struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
  for (unsigned i = 0; i < 100; i++) {
    sigemptyset(&action.sa_mask);
    for (int bit = 0; bit < 7; bit++) {
      if (i >> bit & 1) sigaddset(&action.sa_mask, 50 + bit);
    }
    held &= sigaction(FIRST, &action, NULL) == 0;
    value_sent(FIRST, (int)i);
    held &= seen.value == (int)i;
  }
  expect(held && stats().full > 0, "with every entry taken, handlers still work, unguarded");
}

static void at_exit(void) {
  set(FIRST, note, SA_SIGINFO, NULL);
  value_sent(FIRST, 11);
  expect(seen.value == 11, "during exit");
  if (failed) _exit(1);
}

static void *opened(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "semantics: %s\n", dlerror());
    exit(2);
  }
  return library;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  void *guard = opened(argv[1]), *another = opened(argv[2]);
  install = (int32_t(*)(void))dlsym(guard, "GuardInstall");
  removed = (int32_t(*)(void))dlsym(guard, "GuardRemove");
  stats_of = (int32_t(*)(struct GuardStats *))dlsym(guard, "GuardStats");
  install_another = (int32_t(*)(void))dlsym(another, "GuardInstall");
  remove_another = (int32_t(*)(void))dlsym(another, "GuardRemove");
  stats_of_another = (int32_t(*)(struct GuardStats *))dlsym(another, "GuardStats");

  expect(stats().reason == GUARD_NOT_YET, "not installed yet");
  expect(install() == 0 && stats().reason == GUARD_NO_HANDLER, "no handler, nothing to do");
  removed();
  sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
  set(FIRST, note, SA_SIGINFO, NULL);
  expect(install() == 1 && stats().reason == GUARD_INSTALLED && guarded(FIRST), "one handler, guarded");
  set(SECOND, note, SA_SIGINFO, NULL);
  expect(guarded(SECOND), "a handler that is set later is guarded");
  dlclose(guard);
  handlers_run_on_their_own_stack();
  handlers_nest();
  owners_see_their_own();
  others_are_left_alone();
  in_other_threads();
  in_other_processes();
  calls_go_on();
  queued_signals();
  called_by_another_handler();
  several_guards();
  removing();
  every_entry_taken();
  atexit(at_exit);
  return failed;
}
