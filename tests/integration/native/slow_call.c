/* A native call that waits: for a while, or for a byte from a file. */
#include <time.h>
#include <unistd.h>

int Wait(int seconds) {
  struct timespec left = {.tv_sec = seconds};
  return nanosleep(&left, 0);
}

int WaitFor(int file) {
  char byte;
  return (int)read(file, &byte, 1);
}
