/* glibc's fortified functions, for a library that was converted for musl.

   With _FORTIFY_SOURCE, glibc's headers replace a call of memcpy by a call of __memcpy_chk, which
   also takes the size of the destination. musl has only memcpy. So each adapter in this file has
   the name and the arguments of one of glibc's fortified functions. It makes glibc's check, then
   calls musl's plain function.

   The converter (gobun/musl) adds this code to a library. It looks up each adapter in the index
   and redirects the library's calls to it. It also fills in a table with the distances to the
   library's pointers to the plain functions. An adapter may call another library only through that
   table, because nothing relocates this code. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>
#include <wchar.h>

#include "../musl_startup/system_calls.h"

/* Pairs of a fortified function and the plain function that it calls; __fdelt_chk calls none. */
/* clang-format off */
#define FUNCTIONS(DO) \
  DO(__memcpy_chk, memcpy) DO(__memmove_chk, memmove) DO(__mempcpy_chk, mempcpy) \
  DO(__memset_chk, memset) DO(__explicit_bzero_chk, explicit_bzero) \
  DO(__strcpy_chk, strcpy) DO(__stpcpy_chk, stpcpy) DO(__strncpy_chk, strncpy) \
  DO(__stpncpy_chk, stpncpy) DO(__strcat_chk, strcat) DO(__strncat_chk, strncat) \
  DO(__strlcpy_chk, strlcpy) DO(__strlcat_chk, strlcat) DO(__wmemcpy_chk, wmemcpy) \
  DO(__wmemmove_chk, wmemmove) DO(__wmempcpy_chk, wmemcpy) DO(__wmemset_chk, wmemset) \
  DO(__wcscpy_chk, wcscpy) DO(__wcpcpy_chk, wcpcpy) DO(__wcsncpy_chk, wcsncpy) \
  DO(__wcpncpy_chk, wcpncpy) DO(__wcscat_chk, wcscat) DO(__wcsncat_chk, wcsncat) \
  DO(__wcrtomb_chk, wcrtomb) DO(__wctomb_chk, wctomb) DO(__mbstowcs_chk, mbstowcs) \
  DO(__wcstombs_chk, wcstombs) DO(__mbsrtowcs_chk, mbsrtowcs) \
  DO(__wcsrtombs_chk, wcsrtombs) DO(__mbsnrtowcs_chk, mbsnrtowcs) \
  DO(__wcsnrtombs_chk, wcsnrtombs) DO(__printf_chk, vprintf) DO(__fprintf_chk, vfprintf) \
  DO(__dprintf_chk, vdprintf) DO(__sprintf_chk, vsnprintf) DO(__snprintf_chk, vsnprintf) \
  DO(__asprintf_chk, vasprintf) DO(__syslog_chk, vsyslog) DO(__wprintf_chk, vwprintf) \
  DO(__fwprintf_chk, vfwprintf) DO(__swprintf_chk, vswprintf) DO(__vprintf_chk, vprintf) \
  DO(__vfprintf_chk, vfprintf) DO(__vdprintf_chk, vdprintf) DO(__vsprintf_chk, vsnprintf) \
  DO(__vsnprintf_chk, vsnprintf) DO(__vasprintf_chk, vasprintf) DO(__vsyslog_chk, vsyslog) \
  DO(__vwprintf_chk, vwprintf) DO(__vfwprintf_chk, vfwprintf) \
  DO(__vswprintf_chk, vswprintf) DO(__fgets_chk, fgets) \
  DO(__fgets_unlocked_chk, fgets_unlocked) DO(__fgetws_chk, fgetws) \
  DO(__fgetws_unlocked_chk, fgetws_unlocked) DO(__fread_chk, fread) \
  DO(__fread_unlocked_chk, fread_unlocked) DO(__read_chk, read) DO(__pread_chk, pread) \
  DO(__pread64_chk, pread) DO(__recv_chk, recv) DO(__recvfrom_chk, recvfrom) \
  DO(__readlink_chk, readlink) DO(__readlinkat_chk, readlinkat) DO(__getcwd_chk, getcwd) \
  DO(__getwd_chk, getcwd) DO(__realpath_chk, realpath) DO(__confstr_chk, confstr) \
  DO(__getgroups_chk, getgroups) DO(__ttyname_r_chk, ttyname_r) \
  DO(__ptsname_r_chk, ptsname_r) DO(__getlogin_r_chk, getlogin_r) \
  DO(__gethostname_chk, gethostname) DO(__getdomainname_chk, getdomainname) \
  DO(__poll_chk, poll) DO(__ppoll_chk, ppoll) DO(__fdelt_chk, ) DO(__open_2, open) \
  DO(__open64_2, open) DO(__openat_2, openat) DO(__openat64_2, openat) \
  DO(__mq_open_2, mq_open) DO(__longjmp_chk, longjmp)
/* clang-format on */

#define NUMBER(name, plain) number##name,
enum { FUNCTIONS(NUMBER) };

/* The index, which the converter reads: the distance from an entry to its adapter, then both names. */
#define ENTRY(name, plain) \
  ".long " #name           \
  " - .\n"                 \
  ".asciz \"" #name        \
  "\"\n"                   \
  ".asciz \"" #plain "\"\n"
__asm__(".pushsection .index, \"a\"\n" FUNCTIONS(ENTRY) ".popsection\n");

/* The converter writes this table: the distance from the table to the pointer to each plain function. */
extern const long table[] __attribute__((visibility("hidden")));

#define PLAIN(name, plain) (*(__typeof__(plain) **)((const char *)table + table[number##name]))

/* Ends the process unless the check passed, with the message and the signal of glibc. */
static void check(int is_safe) {
  if (is_safe) return;
  complain("*** buffer overflow detected ***: terminated\n");
  call(SYS_kill, call(SYS_getpid, 0, 0, 0, 0, 0, 0), SIGABRT, 0, 0, 0, 0);
  call(SYS_exit_group, FAILED, 0, 0, 0, 0, 0);
}

/* --- Memory and strings. `room` is the size of the destination in characters. --- */

static size_t length(const char *text) {
  size_t count = 0;
  while (text[count]) count++;
  return count;
}

static size_t wide_length(const wchar_t *text) {
  size_t count = 0;
  while (text[count]) count++;
  return count;
}

static size_t smaller(size_t first, size_t second) { return first < second ? first : second; }

/* Returns the length of a text, but at most `most`. Longer texts need no final zero. */
static size_t length_up_to(const char *text, size_t most) {
  size_t count = 0;
  while (count < most && text[count]) count++;
  return count;
}

static size_t wide_length_up_to(const wchar_t *text, size_t most) {
  size_t count = 0;
  while (count < most && text[count]) count++;
  return count;
}

#define COPIES(name, plain, result, item)                             \
  result name(item *to, const item *from, size_t size, size_t room) { \
    check(size <= room);                                              \
    return PLAIN(name, plain)(to, from, size);                        \
  }
COPIES(__memcpy_chk, memcpy, void *, void)
COPIES(__memmove_chk, memmove, void *, void)
COPIES(__mempcpy_chk, mempcpy, void *, void)
COPIES(__strncpy_chk, strncpy, char *, char)
COPIES(__stpncpy_chk, stpncpy, char *, char)
COPIES(__strlcpy_chk, strlcpy, size_t, char)
COPIES(__strlcat_chk, strlcat, size_t, char)
COPIES(__wmemcpy_chk, wmemcpy, wchar_t *, wchar_t)
COPIES(__wmemmove_chk, wmemmove, wchar_t *, wchar_t)
COPIES(__wcsncpy_chk, wcsncpy, wchar_t *, wchar_t)
COPIES(__wcpncpy_chk, wcpncpy, wchar_t *, wchar_t)

wchar_t *__wmempcpy_chk(wchar_t *to, const wchar_t *from, size_t size, size_t room) {
  check(size <= room);
  return PLAIN(__wmempcpy_chk, wmemcpy)(to, from, size) + size;
}

void *__memset_chk(void *to, int value, size_t size, size_t room) {
  check(size <= room);
  return PLAIN(__memset_chk, memset)(to, value, size);
}

wchar_t *__wmemset_chk(wchar_t *to, wchar_t value, size_t size, size_t room) {
  check(size <= room);
  return PLAIN(__wmemset_chk, wmemset)(to, value, size);
}

void __explicit_bzero_chk(void *to, size_t size, size_t room) {
  check(size <= room);
  PLAIN(__explicit_bzero_chk, explicit_bzero)(to, size);
}

#define COPIES_TEXT(name, plain, item, size)            \
  item *name(item *to, const item *from, size_t room) { \
    check((size) < room);                               \
    return PLAIN(name, plain)(to, from);                \
  }
COPIES_TEXT(__strcpy_chk, strcpy, char, length(from))
COPIES_TEXT(__stpcpy_chk, stpcpy, char, length(from))
COPIES_TEXT(__strcat_chk, strcat, char, length(to) + length(from))
COPIES_TEXT(__wcscpy_chk, wcscpy, wchar_t, wide_length(from))
COPIES_TEXT(__wcpcpy_chk, wcpcpy, wchar_t, wide_length(from))
COPIES_TEXT(__wcscat_chk, wcscat, wchar_t, wide_length(to) + wide_length(from))

char *__strncat_chk(char *to, const char *from, size_t size, size_t room) {
  check(length(to) + length_up_to(from, size) < room);
  return PLAIN(__strncat_chk, strncat)(to, from, size);
}

wchar_t *__wcsncat_chk(wchar_t *to, const wchar_t *from, size_t size, size_t room) {
  check(wide_length(to) + wide_length_up_to(from, size) < room);
  return PLAIN(__wcsncat_chk, wcsncat)(to, from, size);
}

/* --- Conversions. `room` counts the units that are written: wide characters or bytes. --- */

enum { MOST_BYTES = 16 };

/* Copies a converted character from a buffer. The destination itself may be too small for it. */
static size_t put(char *to, const char *bytes, size_t count, size_t room) {
  if (count == (size_t)-1) return count;
  check(count <= room);
  for (size_t i = 0; i < count; i++) to[i] = bytes[i];
  return count;
}

size_t __wcrtomb_chk(char *to, wchar_t character, mbstate_t *state, size_t room) {
  char bytes[MOST_BYTES] = "";

  if (!to) return PLAIN(__wcrtomb_chk, wcrtomb)(to, character, state);
  return put(to, bytes, PLAIN(__wcrtomb_chk, wcrtomb)(bytes, character, state), room);
}

int __wctomb_chk(char *to, wchar_t character, size_t room) {
  char bytes[MOST_BYTES] = "";

  if (!to) return PLAIN(__wctomb_chk, wctomb)(to, character);
  return (int)put(to, bytes, (size_t)PLAIN(__wctomb_chk, wctomb)(bytes, character), room);
}

size_t __mbstowcs_chk(wchar_t *to, const char *from, size_t most, size_t room) {
  check(most <= room);
  return PLAIN(__mbstowcs_chk, mbstowcs)(to, from, most);
}

size_t __wcstombs_chk(char *to, const wchar_t *from, size_t most, size_t room) {
  check(most <= room);
  return PLAIN(__wcstombs_chk, wcstombs)(to, from, most);
}

size_t __mbsrtowcs_chk(wchar_t *to, const char **from, size_t most, mbstate_t *state, size_t room) {
  check(most <= room);
  return PLAIN(__mbsrtowcs_chk, mbsrtowcs)(to, from, most, state);
}

size_t __wcsrtombs_chk(char *to, const wchar_t **from, size_t most, mbstate_t *state, size_t room) {
  check(most <= room);
  return PLAIN(__wcsrtombs_chk, wcsrtombs)(to, from, most, state);
}

size_t __mbsnrtowcs_chk(wchar_t *to, const char **from, size_t bytes, size_t most, mbstate_t *state,
                        size_t room) {
  check(most <= room);
  return PLAIN(__mbsnrtowcs_chk, mbsnrtowcs)(to, from, bytes, most, state);
}

size_t __wcsnrtombs_chk(char *to, const wchar_t **from, size_t characters, size_t most,
                        mbstate_t *state, size_t room) {
  check(most <= room);
  return PLAIN(__wcsnrtombs_chk, wcsnrtombs)(to, from, characters, most, state);
}

/* --- The printf family. `flag` enables glibc's check of %n. musl has no such check. --- */

#define FORMATS(name, v_name, plain, item, destination, to)                \
  int v_name(destination to, int flag, const item *format, va_list more) { \
    (void)flag;                                                            \
    return PLAIN(v_name, plain)(to, format, more);                         \
  }                                                                        \
  int name(destination to, int flag, const item *format, ...) {            \
    va_list more;                                                          \
    int result;                                                            \
    (void)flag;                                                            \
    va_start(more, format);                                                \
    result = PLAIN(name, plain)(to, format, more);                         \
    va_end(more);                                                          \
    return result;                                                         \
  }
FORMATS(__fprintf_chk, __vfprintf_chk, vfprintf, char, FILE *, to)
FORMATS(__dprintf_chk, __vdprintf_chk, vdprintf, char, int, to)
FORMATS(__asprintf_chk, __vasprintf_chk, vasprintf, char, char **, to)
FORMATS(__fwprintf_chk, __vfwprintf_chk, vfwprintf, wchar_t, FILE *, to)

#define FORMATS_OUTPUT(name, v_name, plain, item)          \
  int v_name(int flag, const item *format, va_list more) { \
    (void)flag;                                            \
    return PLAIN(v_name, plain)(format, more);             \
  }                                                        \
  int name(int flag, const item *format, ...) {            \
    va_list more;                                          \
    int result;                                            \
    (void)flag;                                            \
    va_start(more, format);                                \
    result = PLAIN(name, plain)(format, more);             \
    va_end(more);                                          \
    return result;                                         \
  }
FORMATS_OUTPUT(__printf_chk, __vprintf_chk, vprintf, char)
FORMATS_OUTPUT(__wprintf_chk, __vwprintf_chk, vwprintf, wchar_t)

#define FORMATS_INTO(name, v_name, plain, item)                                                \
  int v_name(item *to, size_t most, int flag, size_t room, const item *format, va_list more) { \
    (void)flag;                                                                                \
    check(most <= room);                                                                       \
    return PLAIN(v_name, plain)(to, most, format, more);                                       \
  }                                                                                            \
  int name(item *to, size_t most, int flag, size_t room, const item *format, ...) {            \
    va_list more;                                                                              \
    int result;                                                                                \
    (void)flag;                                                                                \
    check(most <= room);                                                                       \
    va_start(more, format);                                                                    \
    result = PLAIN(name, plain)(to, most, format, more);                                       \
    va_end(more);                                                                              \
    return result;                                                                             \
  }
FORMATS_INTO(__snprintf_chk, __vsnprintf_chk, vsnprintf, char)
FORMATS_INTO(__swprintf_chk, __vswprintf_chk, vswprintf, wchar_t)

/* sprintf with a limit. Some releases of musl reject a size above INT_MAX. */
static int print(__typeof__(vsnprintf) *plain, char *to, size_t room, const char *format,
                 va_list more) {
  int result = plain(to, smaller(room, INT_MAX), format, more);

  check(result < 0 || (size_t)result < room);
  return result;
}

int __vsprintf_chk(char *to, int flag, size_t room, const char *format, va_list more) {
  (void)flag;
  return print(PLAIN(__vsprintf_chk, vsnprintf), to, room, format, more);
}

int __sprintf_chk(char *to, int flag, size_t room, const char *format, ...) {
  va_list more;
  int result;

  (void)flag;
  va_start(more, format);
  result = print(PLAIN(__sprintf_chk, vsnprintf), to, room, format, more);
  va_end(more);
  return result;
}

void __vsyslog_chk(int priority, int flag, const char *format, va_list more) {
  (void)flag;
  PLAIN(__vsyslog_chk, vsyslog)(priority, format, more);
}

void __syslog_chk(int priority, int flag, const char *format, ...) {
  va_list more;

  (void)flag;
  va_start(more, format);
  PLAIN(__syslog_chk, vsyslog)(priority, format, more);
  va_end(more);
}

/* --- Files and sockets. In most of them, `room` comes before the last arguments. --- */

/* A caller may request more characters than fit, if the line that arrives does fit. */
#define READS_LINE(name, plain, item, size)                             \
  item *name(item *to, size_t room, int most, FILE *file) {             \
    int fits = most <= 0 || (size_t)most <= room;                       \
    item *line = PLAIN(name, plain)(to, fits ? most : (int)room, file); \
                                                                        \
    if (!fits && line) {                                                \
      size_t count = size(line);                                        \
      check(count + 1 < room || line[count - 1] == '\n');               \
    }                                                                   \
    return line;                                                        \
  }
READS_LINE(__fgets_chk, fgets, char, length)
READS_LINE(__fgets_unlocked_chk, fgets_unlocked, char, length)
READS_LINE(__fgetws_chk, fgetws, wchar_t, wide_length)
READS_LINE(__fgetws_unlocked_chk, fgetws_unlocked, wchar_t, wide_length)

#define READS_ITEMS(name, plain)                                              \
  size_t name(void *to, size_t room, size_t size, size_t count, FILE *file) { \
    size_t bytes;                                                             \
    check(!__builtin_mul_overflow(size, count, &bytes) && bytes <= room);     \
    return PLAIN(name, plain)(to, size, count, file);                         \
  }
READS_ITEMS(__fread_chk, fread)
READS_ITEMS(__fread_unlocked_chk, fread_unlocked)

ssize_t __read_chk(int file, void *to, size_t size, size_t room) {
  check(size <= room);
  return PLAIN(__read_chk, read)(file, to, size);
}

#define READS_AT(name)                                                   \
  ssize_t name(int file, void *to, size_t size, off_t at, size_t room) { \
    check(size <= room);                                                 \
    return PLAIN(name, pread)(file, to, size, at);                       \
  }
READS_AT(__pread_chk)
READS_AT(__pread64_chk)

ssize_t __recv_chk(int socket, void *to, size_t size, size_t room, int flags) {
  check(size <= room);
  return PLAIN(__recv_chk, recv)(socket, to, size, flags);
}

ssize_t __recvfrom_chk(int socket, void *to, size_t size, size_t room, int flags,
                       struct sockaddr *from, socklen_t *from_size) {
  check(size <= room);
  return PLAIN(__recvfrom_chk, recvfrom)(socket, to, size, flags, from, from_size);
}

ssize_t __readlink_chk(const char *path, char *to, size_t size, size_t room) {
  check(size <= room);
  return PLAIN(__readlink_chk, readlink)(path, to, size);
}

ssize_t __readlinkat_chk(int folder, const char *path, char *to, size_t size, size_t room) {
  check(size <= room);
  return PLAIN(__readlinkat_chk, readlinkat)(folder, path, to, size);
}

int __poll_chk(struct pollfd *files, nfds_t count, int timeout, size_t room) {
  check(count <= room / sizeof *files);
  return PLAIN(__poll_chk, poll)(files, count, timeout);
}

int __ppoll_chk(struct pollfd *files, nfds_t count, const struct timespec *timeout,
                const sigset_t *signals, size_t room) {
  check(count <= room / sizeof *files);
  return PLAIN(__ppoll_chk, ppoll)(files, count, timeout, signals);
}

long __fdelt_chk(long file) {
  check(file >= 0 && file < FD_SETSIZE);
  return file / (8 * (long)sizeof(long));
}

/* These functions take no mode, so they must not create a file. */
static int makes_no_file(int flags) {
  return !(flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE;
}

#define OPENS(name, at_name)                             \
  int name(const char *path, int flags) {                \
    check(makes_no_file(flags));                         \
    return PLAIN(name, open)(path, flags);               \
  }                                                      \
  int at_name(int folder, const char *path, int flags) { \
    check(makes_no_file(flags));                         \
    return PLAIN(at_name, openat)(folder, path, flags);  \
  }
OPENS(__open_2, __openat_2)
OPENS(__open64_2, __openat64_2)

mqd_t __mq_open_2(const char *name, int flags) {
  check(!(flags & O_CREAT));
  return PLAIN(__mq_open_2, mq_open)(name, flags);
}

/* --- Information about the system. --- */

char *__getcwd_chk(char *to, size_t size, size_t room) {
  check(size <= room);
  return PLAIN(__getcwd_chk, getcwd)(to, size);
}

char *__getwd_chk(char *to, size_t room) { return PLAIN(__getwd_chk, getcwd)(to, room); }

char *__realpath_chk(const char *path, char *to, size_t room) {
  check(room >= PATH_MAX);
  return PLAIN(__realpath_chk, realpath)(path, to);
}

size_t __confstr_chk(int name, char *to, size_t size, size_t room) {
  check(size <= room);
  return PLAIN(__confstr_chk, confstr)(name, to, size);
}

int __getgroups_chk(int count, gid_t *to, size_t room) {
  check(count < 0 || (size_t)count <= room / sizeof *to);
  return PLAIN(__getgroups_chk, getgroups)(count, to);
}

#define NAMES_FILE(name, plain)                            \
  int name(int file, char *to, size_t size, size_t room) { \
    check(size <= room);                                   \
    return PLAIN(name, plain)(file, to, size);             \
  }
NAMES_FILE(__ttyname_r_chk, ttyname_r)
NAMES_FILE(__ptsname_r_chk, ptsname_r)

#define NAMES(name, plain)                       \
  int name(char *to, size_t size, size_t room) { \
    check(size <= room);                         \
    return PLAIN(name, plain)(to, size);         \
  }
NAMES(__getlogin_r_chk, getlogin_r)
NAMES(__gethostname_chk, gethostname)
NAMES(__getdomainname_chk, getdomainname)

/* glibc also checks that the frame still exists. That check needs glibc's internals. */
_Noreturn void __longjmp_chk(jmp_buf frame, int value) {
  PLAIN(__longjmp_chk, longjmp)(frame, value);
  __builtin_unreachable();
}
