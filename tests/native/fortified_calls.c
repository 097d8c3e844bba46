/* Loads the library of tests/native/fortified: fortified_calls LIBRARY [FUNCTION].

   Prints "pass" or the check that failed to standard error, for the library reopens standard output.
   With FUNCTION, has that one overflow instead. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words) {
  void *library = dlopen(words[1], RTLD_NOW);
  const char *wrong;

  if (!library) return fprintf(stderr, "%s\n", dlerror()), 2;
  if (count > 2) {
    ((void (*)(int))dlsym(library, "Overflow"))(atoi(words[2]));
    return fprintf(stderr, "nothing stopped it\n"), 1;
  }
  wrong = ((const char *(*)(void))dlsym(library, "CheckAll"))();
  return fprintf(stderr, "%s\n", wrong ? wrong : "pass"), wrong != 0;
}
