/* Why the last call on this thread failed. */
#ifndef GOBUN_REASON_H
#define GOBUN_REASON_H

#include <stddef.h>
#include <stdint.h>

/* Keeps a reason for this thread; truncates one that is too long. */
void gobun_keep_reason(const char *text, size_t length);

#endif
