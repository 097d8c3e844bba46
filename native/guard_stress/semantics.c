/* semantics GUARD ANOTHER-GUARD RIVAL: checks one by one what a handler may rely on. Prints a
 * line for each check: `ok …` or `FAILED …`. Exit code 1 if any failed. Go takes no part: this
 * program adds SA_ONSTACK to a handler itself, as Go does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "assertions.h"

static void at_exit(void) {
  set(FIRST, note, SA_SIGINFO, NULL);
  value_sent(FIRST, 11);
  expect(recorded.value == 11, "during exit");
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
  if (argc < 4) return 2;
  void *guard = opened(argv[1]), *another = opened(argv[2]);
  install = (int32_t (*)(void))dlsym(guard, "GuardInstall");
  removed = (int32_t (*)(void))dlsym(guard, "GuardRemove");
  stats_of = (int32_t (*)(struct GuardStats *))dlsym(guard, "GuardStats");
  install_another = (int32_t (*)(void))dlsym(another, "GuardInstall");
  remove_another = (int32_t (*)(void))dlsym(another, "GuardRemove");
  stats_of_another = (int32_t (*)(struct GuardStats *))dlsym(another, "GuardStats");

  expect(stats().reason == GUARD_NOT_YET, "not installed yet");
  expect(install() == 0 && stats().reason == GUARD_NO_HANDLER, "no handler, nothing to do");
  removed();
  sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
  set(FIRST, note, SA_SIGINFO, NULL);
  expect(install() == 1 && stats().reason == GUARD_INSTALLED && guarded(FIRST),
         "one handler, guarded");
  set(SECOND, note, SA_SIGINFO, NULL);
  expect(guarded(SECOND), "a handler that is set later is guarded");
  dlclose(guard);
  handlers_run_on_their_own_stack();
  handlers_nest();
  signals_come_at_once();
  owners_see_their_own();
  others_are_left_alone();
  in_other_threads();
  handlers_for_once();
  at_the_end();
  at_the_limit();
  in_other_processes();
  calls_go_on();
  queued_signals();
  called_by_another_handler();
  signals_are_shared(argv[3]);
  several_guards();
  removing();
  every_entry_taken();
  atexit(at_exit);
  return failed;
}
