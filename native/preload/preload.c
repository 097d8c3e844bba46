/* go-guard-preload: the guard for LD_PRELOAD, for an application that cannot change its code.
 *
 * GO_GUARD_PRELOAD is a comma list of its actions. `suspend`, the default, cures the hang.
 * `stack8m`, `sigmask` and `sigmask-keep` do at load time what patches of Bun's source claim to
 * do. If the variable is set and empty, the library does nothing. Children inherit both
 * variables, so everything here must be harmless in any program. */
#define _GNU_SOURCE
#include "preload.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ = 1u << 16, LOUD = 1u << 17, LONGEST = 320 };

static const struct {
  const char *word;
  unsigned action;
} words[] = {
    {"suspend", SUSPEND},
    {"stack8m", STACK8M},
    {"sigmask", SIGMASK},
    {"sigmask-keep", SIGMASK_KEEP},
};
enum { WORDS = sizeof words / sizeof *words };

static atomic_uint chosen;

typedef struct {
  char text[LONGEST];
  size_t length;
} Line;

static void add(Line *line, const char *text, size_t length) {
  size_t room = LONGEST - 1 - line->length;
  if (length > room) length = room;
  memcpy(line->text + line->length, text, length);
  line->length += length;
}

static void add_text(Line *line, const char *text) { add(line, text, strlen(text)); }

static void add_number(Line *line, unsigned long number) {
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  add(line, digits + at, sizeof digits - at);
}

static void begin(Line *line) {
  line->length = 0;
  add_text(line, "go-guard-preload[");
  add_number(line, (unsigned long)getpid());
  add_text(line, "]: ");
}

static void print_line(Line *line) {
  int saved = errno;
  line->text[line->length++] = '\n';
  (void)!write(STDERR_FILENO, line->text, line->length);
  errno = saved;
}

static void add_words(Line *line, unsigned actions) {
  const char *between = "";
  for (int i = 0; i < WORDS; i++) {
    if (!(words[i].action & actions)) continue;
    add_text(line, between);
    add_text(line, words[i].word);
    between = ",";
  }
}

static void reject(const char *problem, const char *word, size_t length) {
  Line line;
  begin(&line);
  add_text(&line, "GO_GUARD_PRELOAD: ");
  add_text(&line, problem);
  add(&line, word, length < 64 ? length : 64);
  add_text(&line, "; the words are ");
  add_words(&line, ~0u);
  add_text(&line, "; nothing is done");
  print_line(&line);
}

static unsigned read_words(const char *list) {
  unsigned actions = 0;
  for (const char *word = list; *word != '\0';) {
    size_t length = strcspn(word, ",");
    unsigned action = 0;
    for (int i = 0; i < WORDS; i++) {
      if (strlen(words[i].word) == length && memcmp(words[i].word, word, length) == 0) {
        action = words[i].action;
      }
    }
    if (action == 0) {
      reject("unknown word ", word, length);
      return 0;
    }
    actions |= action;
    word += length;
    if (*word == ',') word++;
  }
  if ((actions & SIGMASK) && (actions & SIGMASK_KEEP)) {
    reject("choose one of sigmask and sigmask-keep", "", 0);
    return 0;
  }
  return actions;
}

unsigned preload_chosen(void) {
  unsigned result = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (result & READ) return result;
  const char *list = getenv("GO_GUARD_PRELOAD"), *debug = getenv("GO_GUARD_DEBUG");
  result = READ | (list == NULL ? SUSPEND : read_words(list));
  if (debug != NULL && strcmp(debug, "1") == 0) result |= LOUD;
  unsigned before = 0;
  if (!atomic_compare_exchange_strong(&chosen, &before, result)) return before;
  if (result & LOUD) {
    Line line;
    begin(&line);
    add_text(&line, "does ");
    add_words(&line, result);
    if (!(result & (STACK8M | SIGMASK | SIGMASK_KEEP | SUSPEND))) add_text(&line, "nothing");
    if (list == NULL) add_text(&line, ", as GO_GUARD_PRELOAD is not set");
    print_line(&line);
  }
  return result;
}

bool preload_loud(void) { return preload_chosen() & LOUD; }

void preload_note(const char *text, unsigned long number) {
  if (!preload_loud()) return;
  Line line;
  begin(&line);
  add_text(&line, text);
  add_number(&line, number);
  print_line(&line);
}

__attribute__((constructor)) static void start(void) { preload_chosen(); }
