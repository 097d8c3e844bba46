/* foreground [handle]: a command in a terminal. It prints "ready" and waits for signals. Without
 * `handle`, SIGINT and SIGTERM have their default action. With it, the command prints "got N" for
 * each and ends with code 5 one second after the first, like a graceful shutdown. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t got;

static void note(int number) {
  char text[] = "got 00\n";
  text[4] = (char)('0' + number / 10);
  text[5] = (char)('0' + number % 10);
  if (write(1, text, sizeof text - 1) > 0) got++;
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "handle") == 0) {
    signal(SIGINT, note);
    signal(SIGTERM, note);
  }
  printf("ready %d tty=%d own-group=%d\n", (int)getpid(), isatty(0), getpgrp() == getpid());
  fflush(stdout);
  while (!got) pause();
  struct timespec left = {.tv_sec = 1};
  while (nanosleep(&left, &left) < 0) {
  }
  printf("bye after %d\n", (int)got);
  return 5;
}
