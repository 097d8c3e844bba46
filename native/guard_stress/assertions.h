/* Declarations that the checks of `semantics` share: the guard and a second guard beside it, a
 * handler that records where it runs, and a line for each check. */
#ifndef ASKING_H
#define ASKING_H
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../guard/go-guard.h"

enum { ALTERNATE_BYTES = 64 << 10, FIRST = 40, SECOND = 41, WANTS_ALTERNATE = 42 };
/* The signal by which libc cancels a thread. */
#ifdef __GLIBC__
enum { OF_LIBC = 32 };
#else
enum { OF_LIBC = 33 };
#endif

typedef void Handler(int, siginfo_t *, void *);
typedef struct {
  uint64_t handler, flags, restorer, mask;
} Raw;

/* What the last handler recorded. */
struct HandlerRecord {
  uintptr_t sp, interrupted;
  int number, value, calls;
  bool context_on_alternate, altstack_in_use, nested_well;
};

extern int32_t (*install)(void), (*removed)(void), (*stats_of)(struct GuardStats *);
extern int32_t (*install_another)(void), (*remove_another)(void);
extern int32_t (*stats_of_another)(struct GuardStats *);
extern char alternate[ALTERNATE_BYTES];
extern bool failed;
extern struct HandlerRecord recorded;

void expect(bool holds, const char *what);
struct GuardStats stats(void);
Raw raw(int signal);
bool guarded(int signal);
int set(int signal, Handler *handler, int flags, struct sigaction *old);
bool on_alternate(const void *place);
bool on_own_stack(void);
int value_sent(int signal, int value);
int in_child(pid_t child);
char *mapped(size_t bytes);

/* Handlers. */
void note(int number, siginfo_t *info, void *context);
void nest(int number, siginfo_t *info, void *context);
void raise_within(int number);

/* Where handlers run, and how the interrupted code continues. */
void handlers_run_on_their_own_stack(void);
void handlers_nest(void);
void signals_come_at_once(void);
void in_other_threads(void);
void in_other_processes(void);
void calls_go_on(void);
void queued_signals(void);

/* Where stacks end, and faults that end a process. */
void handlers_for_once(void);
void at_the_end(void);
void at_the_limit(void);

/* What callers are told about handlers, and which handlers are guarded. */
void owners_see_their_own(void);
void others_are_left_alone(void);
void called_by_another_handler(void);
void several_guards(void);
void removing(void);
void every_entry_taken(void);

/* Signals that a library uses as well; `library` is the file of rival.c. */
void signals_are_shared(const char *library);
#endif
