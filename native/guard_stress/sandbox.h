#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>

/* Restricts this process and all its threads for good. False where that failed.
 *
 * kill         a system call that names a file ends the process (seccomp)
 * refuse       it fails (EPERM)
 * chroot       there is no /proc, and no other file
 * descriptors  none is left */
bool enter_sandbox(const char *kind);

#endif
