/* hostile_names [FILE [fifo TARGET]]: a process with hostile names. It renames itself and a thread to
 * bytes that are not UTF-8 and to terminal escapes, maps code from FILE, and waits. With a second
 * argument it deletes FILE; with `fifo` it then makes FILE a link to TARGET. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static pthread_barrier_t renamed;

static void *named(void *unused) {
  prctl(PR_SET_NAME, "\x1b[2J\x9b\x85) R 1 \xff");
  pthread_barrier_wait(&renamed);
  for (;;) pause();
  return unused;
}

int main(int argc, char **argv) {
  pthread_t other;
  prctl(PR_SET_NAME, ") Z 0 \n\xe2\x80\xae\xff\x1c");
  pthread_barrier_init(&renamed, NULL, 2);
  pthread_create(&other, NULL, named, NULL);
  pthread_barrier_wait(&renamed);
  if (argc > 1) {
    int file = open(argv[1], O_CREAT | O_RDWR, 0700);
    if (ftruncate(file, 4096) < 0) return 1;
    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    if (argc > 2) {
      unlink(argv[1]);
      if (strcmp(argv[2], "fifo") == 0) symlink(argv[3], argv[1]);
    }
  }
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}
