/* blocking_memory LONG: a process whose memory blocks its readers for ever (userfaultfd): one page of
 * its own, and most pages of its arguments and environment, which have to be long. Prints the address
 * of that page, or the reason why there is none, and waits in poll(). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

static int report_failure(void) {
  printf("none: %s\n", strerror(errno));
  return 0;
}

static int block(int faults, uintptr_t start, uintptr_t end) {
  struct uffdio_register range = {{start, end - start}, UFFDIO_REGISTER_MODE_MISSING, 0};
  if (ioctl(faults, UFFDIO_REGISTER, &range) < 0) return -1;
  return madvise((void *)start, end - start, MADV_DONTNEED);
}

int main(int argc, char **argv, char **variables) {
  if (argc < 2) return 2;
  int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
  struct uffdio_api api = {.api = UFFD_API};
  if (faults < 0 || ioctl(faults, UFFDIO_API, &api) < 0) return report_failure();
  void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || block(faults, (uintptr_t)page, (uintptr_t)page + PAGE) < 0)
    return report_failure();
  char *last = *variables;
  for (char **each = variables; *each != NULL; each++) last = *each;
  uintptr_t start = ((uintptr_t)argv[1] + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  uintptr_t end = ((uintptr_t)last + strlen(last)) & ~(uintptr_t)(PAGE - 1);
  if (block(faults, start, end) < 0) return report_failure();
  printf("%p\n", page);
  fflush(stdout);
  struct pollfd nothing = {.fd = -1};
  poll(&nothing, 1, 600000);
  return 0;
}
