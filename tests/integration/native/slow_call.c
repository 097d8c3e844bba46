/* A native call that waits: for a while, or for a byte from a file. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
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

/* Waits at a socket with a time-out for what nobody sends, and returns errno. */
int Receive(int seconds) {
  int ends[2];
  char byte;
  struct timeval limit = {.tv_sec = seconds};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) return -1;
  setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return recv(ends[0], &byte, 1, 0) < 0 ? errno : 0;
}
