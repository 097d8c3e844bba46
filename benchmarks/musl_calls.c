/* Times calls of Run in a Go library: musl_calls [LIBRARY]. Without a library it calls the one that
   LD_PRELOAD loaded. Prints the least time of a call in nanoseconds. */
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

enum { BLOCKS = 60, CALLS = 20000 };

static _Thread_local long first;

int main(int count, char **words) {
  void *library = dlopen(count > 1 ? words[1] : 0, RTLD_NOW);
  int (*run)(void) = library ? (int (*)(void))dlsym(library, "Run") : 0;
  double best = 1e9;

  if (!run) return fprintf(stderr, "%s\n", dlerror()), 1;
  for (int block = 0; block < BLOCKS; block++) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < CALLS; i++) first += run();
    clock_gettime(CLOCK_MONOTONIC, &to);
    double took = ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / CALLS;
    if (took < best) best = took;
  }
  printf("%.2f\n", best);
  fflush(stdout);
  return 0;
}
