/* Calls each of glibc's fortified functions and looks at the result. Their names are spelled out,
   so that no compiler decides which of them are called. */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wchar.h>

void *__memcpy_chk(void *, const void *, size_t, size_t);
void *__memmove_chk(void *, const void *, size_t, size_t);
void *__mempcpy_chk(void *, const void *, size_t, size_t);
void *__memset_chk(void *, int, size_t, size_t);
void __explicit_bzero_chk(void *, size_t, size_t);
char *__strcpy_chk(char *, const char *, size_t);
char *__stpcpy_chk(char *, const char *, size_t);
char *__strncpy_chk(char *, const char *, size_t, size_t);
char *__stpncpy_chk(char *, const char *, size_t, size_t);
char *__strcat_chk(char *, const char *, size_t);
char *__strncat_chk(char *, const char *, size_t, size_t);
size_t __strlcpy_chk(char *, const char *, size_t, size_t);
size_t __strlcat_chk(char *, const char *, size_t, size_t);
wchar_t *__wmemcpy_chk(wchar_t *, const wchar_t *, size_t, size_t);
wchar_t *__wmemmove_chk(wchar_t *, const wchar_t *, size_t, size_t);
wchar_t *__wmempcpy_chk(wchar_t *, const wchar_t *, size_t, size_t);
wchar_t *__wmemset_chk(wchar_t *, wchar_t, size_t, size_t);
wchar_t *__wcscpy_chk(wchar_t *, const wchar_t *, size_t);
wchar_t *__wcpcpy_chk(wchar_t *, const wchar_t *, size_t);
wchar_t *__wcsncpy_chk(wchar_t *, const wchar_t *, size_t, size_t);
wchar_t *__wcpncpy_chk(wchar_t *, const wchar_t *, size_t, size_t);
wchar_t *__wcscat_chk(wchar_t *, const wchar_t *, size_t);
wchar_t *__wcsncat_chk(wchar_t *, const wchar_t *, size_t, size_t);
size_t __wcrtomb_chk(char *, wchar_t, mbstate_t *, size_t);
int __wctomb_chk(char *, wchar_t, size_t);
size_t __mbstowcs_chk(wchar_t *, const char *, size_t, size_t);
size_t __wcstombs_chk(char *, const wchar_t *, size_t, size_t);
size_t __mbsrtowcs_chk(wchar_t *, const char **, size_t, mbstate_t *, size_t);
size_t __wcsrtombs_chk(char *, const wchar_t **, size_t, mbstate_t *, size_t);
size_t __mbsnrtowcs_chk(wchar_t *, const char **, size_t, size_t, mbstate_t *, size_t);
size_t __wcsnrtombs_chk(char *, const wchar_t **, size_t, size_t, mbstate_t *, size_t);
int __printf_chk(int, const char *, ...);
int __fprintf_chk(FILE *, int, const char *, ...);
int __dprintf_chk(int, int, const char *, ...);
int __sprintf_chk(char *, int, size_t, const char *, ...);
int __snprintf_chk(char *, size_t, int, size_t, const char *, ...);
int __asprintf_chk(char **, int, const char *, ...);
void __syslog_chk(int, int, const char *, ...);
int __wprintf_chk(int, const wchar_t *, ...);
int __fwprintf_chk(FILE *, int, const wchar_t *, ...);
int __swprintf_chk(wchar_t *, size_t, int, size_t, const wchar_t *, ...);
int __vprintf_chk(int, const char *, va_list);
int __vfprintf_chk(FILE *, int, const char *, va_list);
int __vdprintf_chk(int, int, const char *, va_list);
int __vsprintf_chk(char *, int, size_t, const char *, va_list);
int __vsnprintf_chk(char *, size_t, int, size_t, const char *, va_list);
int __vasprintf_chk(char **, int, const char *, va_list);
void __vsyslog_chk(int, int, const char *, va_list);
int __vwprintf_chk(int, const wchar_t *, va_list);
int __vfwprintf_chk(FILE *, int, const wchar_t *, va_list);
int __vswprintf_chk(wchar_t *, size_t, int, size_t, const wchar_t *, va_list);
char *__fgets_chk(char *, size_t, int, FILE *);
char *__fgets_unlocked_chk(char *, size_t, int, FILE *);
wchar_t *__fgetws_chk(wchar_t *, size_t, int, FILE *);
wchar_t *__fgetws_unlocked_chk(wchar_t *, size_t, int, FILE *);
size_t __fread_chk(void *, size_t, size_t, size_t, FILE *);
size_t __fread_unlocked_chk(void *, size_t, size_t, size_t, FILE *);
ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void *, size_t, off_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
ssize_t __readlink_chk(const char *, char *, size_t, size_t);
ssize_t __readlinkat_chk(int, const char *, char *, size_t, size_t);
char *__getcwd_chk(char *, size_t, size_t);
char *__getwd_chk(char *, size_t);
char *__realpath_chk(const char *, char *, size_t);
size_t __confstr_chk(int, char *, size_t, size_t);
int __getgroups_chk(int, gid_t *, size_t);
int __ttyname_r_chk(int, char *, size_t, size_t);
int __ptsname_r_chk(int, char *, size_t, size_t);
int __getlogin_r_chk(char *, size_t, size_t);
int __gethostname_chk(char *, size_t, size_t);
int __getdomainname_chk(char *, size_t, size_t);
int __poll_chk(struct pollfd *, nfds_t, int, size_t);
int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
long __fdelt_chk(long);
int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);
mqd_t __mq_open_2(const char *, int);
void __longjmp_chk(jmp_buf, int) __attribute__((noreturn));

#define EXPECT(condition)                \
  do {                                   \
    if (!(condition)) return #condition; \
  } while (0)
#define SAME(text, expected) EXPECT(strcmp(text, expected) == 0)
#define WIDE_SAME(text, expected) EXPECT(wcscmp(text, expected) == 0)

/* More arguments than there are registers, of each kind, in an order that mixes them. */
#define FORMAT "%d %.2f %s %ld %.1f %c %x %.3f %d %.1f %.1f %.1f %.1f %.1f %.1f %.2Lf %d"
#define MIXED \
  1, 2.25, "three", 4L, 5.5, '6', 7, 8.125, 9, 10.5, 11.5, 12.5, 13.5, 14.5, 15.5, 16.25L, 17
static const char printed[] =
    "1 2.25 three 4 5.5 6 7 8.125 9 10.5 11.5 12.5 13.5 14.5 15.5 16.25 17";
static const wchar_t wide_printed[] =
    L"1 2.25 three 4 5.5 6 7 8.125 9 10.5 11.5 12.5 13.5 14.5 15.5 16.25 17";

enum { ROOM = 200, MODE_2 = 1 };
/* Compilers replace the call where they see that the room is large enough. */
static volatile size_t three = 3;
static char text[ROOM];
static wchar_t wide[ROOM];

static const char *check_memory(void) {
  EXPECT(__memcpy_chk(text, "abcdef", 7, ROOM) == text);
  SAME(text, "abcdef");
  EXPECT(__memmove_chk(text + 1, text, 5, ROOM - 1) == text + 1);
  SAME(text, "aabcde");
  EXPECT(__mempcpy_chk(text, "xy", 2, ROOM) == text + 2);
  SAME(text, "xybcde");
  EXPECT(__memset_chk(text, 'z', 3, three) == text);
  SAME(text, "zzzcde");
  __explicit_bzero_chk(text + 1, 2, 2);
  EXPECT(text[0] == 'z' && !text[1] && !text[2] && text[3] == 'c');
  EXPECT(__wmemcpy_chk(wide, L"abcdef", 7, ROOM) == wide);
  EXPECT(__wmemmove_chk(wide + 1, wide, 5, ROOM) == wide + 1);
  WIDE_SAME(wide, L"aabcde");
  EXPECT(__wmempcpy_chk(wide, L"xy", 2, ROOM) == wide + 2);
  EXPECT(__wmemset_chk(wide + 2, L'z', 2, 2) == wide + 2);
  WIDE_SAME(wide, L"xyzzde");
  return 0;
}

static const char *check_strings(void) {
  EXPECT(__strcpy_chk(text, "ab", 3) == text);
  EXPECT(__strcat_chk(text, "cd", 5) == text);
  EXPECT(__strncat_chk(text, "efgh", 2, 7) == text);
  SAME(text, "abcdef");
  EXPECT(__stpcpy_chk(text, "xyz", ROOM) == text + 3);
  EXPECT(__strncpy_chk(text, "ab", 2, ROOM) == text);
  SAME(text, "abz");
  EXPECT(__stpncpy_chk(text, "q", 1, ROOM) == text + 1);
  SAME(text, "qbz");
  EXPECT(__strlcpy_chk(text, "longer", 4, ROOM) == 6);
  SAME(text, "lon");
  EXPECT(__strlcat_chk(text, "ger", 6, ROOM) == 6);
  SAME(text, "longe");
  EXPECT(__wcscpy_chk(wide, L"ab", 3) == wide);
  EXPECT(__wcscat_chk(wide, L"cd", 5) == wide);
  EXPECT(__wcsncat_chk(wide, L"efgh", 2, 7) == wide);
  WIDE_SAME(wide, L"abcdef");
  EXPECT(__wcpcpy_chk(wide, L"xyz", ROOM) == wide + 3);
  EXPECT(__wcsncpy_chk(wide, L"ab", 2, ROOM) == wide);
  EXPECT(__wcpncpy_chk(wide, L"q", 1, ROOM) == wide + 1);
  WIDE_SAME(wide, L"qbz");
  return 0;
}

static const char *check_conversions(void) {
  mbstate_t state = {0};
  const char *from = "abc";
  const wchar_t *wide_from = L"xyz";

  EXPECT(__wcrtomb_chk(text, L'a', &state, 1) == 1 && text[0] == 'a');
  EXPECT(__wcrtomb_chk(0, L'a', &state, 0) == 1);
  EXPECT(__wctomb_chk(text, L'b', 1) == 1 && text[0] == 'b');
  EXPECT(__mbstowcs_chk(wide, "abc", 9, ROOM) == 3);
  WIDE_SAME(wide, L"abc");
  EXPECT(__wcstombs_chk(text, L"xyz", 9, ROOM) == 3);
  SAME(text, "xyz");
  EXPECT(__mbsrtowcs_chk(wide, &from, 9, &state, ROOM) == 3 && !from);
  EXPECT(__wcsrtombs_chk(text, &wide_from, 9, &state, ROOM) == 3 && !wide_from);
  from = "defg";
  wide_from = L"uvw";
  EXPECT(__mbsnrtowcs_chk(wide, &from, 2, 9, &state, ROOM) == 2 && wide[1] == L'e');
  EXPECT(__wcsnrtombs_chk(text, &wide_from, 2, 9, &state, ROOM) == 2 && text[1] == 'v');
  return 0;
}

#define VARIADIC(name, call, character)           \
  static int name(const character *format, ...) { \
    va_list more;                                 \
    int result;                                   \
    va_start(more, format);                       \
    result = call;                                \
    va_end(more);                                 \
    return result;                                \
  }
static char *allocated;
static FILE *file;
VARIADIC(vsprint, __vsprintf_chk(text, MODE_2, ROOM, format, more), char)
VARIADIC(vsnprint, __vsnprintf_chk(text, ROOM, MODE_2, ROOM, format, more), char)
VARIADIC(vasprint, __vasprintf_chk(&allocated, MODE_2, format, more), char)
VARIADIC(vfprint, __vfprintf_chk(file, MODE_2, format, more), char)
VARIADIC(vdprint, __vdprintf_chk(fileno(file), MODE_2, format, more), char)
VARIADIC(vprint, __vprintf_chk(MODE_2, format, more), char)
VARIADIC(vswprint, __vswprintf_chk(wide, ROOM, MODE_2, ROOM, format, more), wchar_t)
VARIADIC(vfwprint, __vfwprintf_chk(file, MODE_2, format, more), wchar_t)
VARIADIC(vwprint, __vwprintf_chk(MODE_2, format, more), wchar_t)
VARIADIC(vlog, (__vsyslog_chk(7, MODE_2, format, more), 0), char)

static const char *check_texts(void) {
  int size = (int)strlen(printed);

  EXPECT(__sprintf_chk(text, MODE_2, ROOM, FORMAT, MIXED) == size);
  SAME(text, printed);
  EXPECT(__sprintf_chk(text, MODE_2, (size_t)-1, "%s", "no known room") == 13);
  EXPECT(__snprintf_chk(text, 4, MODE_2, ROOM, FORMAT, MIXED) == size);
  SAME(text, "1 2");
  EXPECT(vsprint(FORMAT, MIXED) == size);
  SAME(text, printed);
  text[0] = 0;
  EXPECT(vsnprint(FORMAT, MIXED) == size);
  SAME(text, printed);
  EXPECT(__asprintf_chk(&allocated, MODE_2, FORMAT, MIXED) == size);
  SAME(allocated, printed);
  free(allocated);
  EXPECT(vasprint(FORMAT, MIXED) == size);
  SAME(allocated, printed);
  free(allocated);
  EXPECT(__swprintf_chk(wide, ROOM, MODE_2, ROOM, L"" FORMAT, MIXED) == size);
  WIDE_SAME(wide, wide_printed);
  wide[0] = 0;
  EXPECT(vswprint(L"" FORMAT, MIXED) == size);
  WIDE_SAME(wide, wide_printed);
  __syslog_chk(7, MODE_2, FORMAT, MIXED);
  vlog(FORMAT, MIXED);
  return 0;
}

static const char *begin(void) {
  file = tmpfile();
  EXPECT(file);
  return 0;
}

/* Reads back what one of the functions has written to the file. */
static const char *end(int size) {
  EXPECT(size == (int)strlen(printed));
  EXPECT(fflush(file) == 0);
  EXPECT(lseek(fileno(file), 0, SEEK_SET) == 0);
  memset(text, 0, ROOM);
  EXPECT(read(fileno(file), text, ROOM) == size);
  SAME(text, printed);
  EXPECT(fclose(file) == 0);
  return 0;
}

#define WRITES(call)               \
  do {                             \
    const char *wrong = begin();   \
    if (!wrong) wrong = end(call); \
    if (wrong) return #call;       \
  } while (0)

/* Standard output goes to the file while a function prints to it. */
#define PRINTS(call)               \
  do {                             \
    const char *wrong = begin();   \
    int output = dup(1), size;     \
    fflush(stdout);                \
    dup2(fileno(file), 1);         \
    size = call;                   \
    fflush(stdout);                \
    dup2(output, 1);               \
    close(output);                 \
    if (!wrong) wrong = end(size); \
    if (wrong) return #call;       \
  } while (0)

static const char *check_streams(void) {
  WRITES(__fprintf_chk(file, MODE_2, FORMAT, MIXED));
  WRITES(vfprint(FORMAT, MIXED));
  WRITES(__dprintf_chk(fileno(file), MODE_2, FORMAT, MIXED));
  WRITES(vdprint(FORMAT, MIXED));
  WRITES(__fwprintf_chk(file, MODE_2, L"" FORMAT, MIXED));
  WRITES(vfwprint(L"" FORMAT, MIXED));
  PRINTS(__printf_chk(MODE_2, FORMAT, MIXED));
  PRINTS(vprint(FORMAT, MIXED));
  /* A stream takes narrow or wide characters until it is opened again. */
  EXPECT(freopen("/dev/null", "w", stdout));
  PRINTS(__wprintf_chk(MODE_2, L"" FORMAT, MIXED));
  PRINTS(vwprint(L"" FORMAT, MIXED));
  return 0;
}

static const char *check_files(void) {
  char bytes[8] = {0};
  FILE *lines = tmpfile();

  EXPECT(lines && fputs("one\ntwo\nthree\nfour\n", lines) >= 0);
  rewind(lines);
  EXPECT(__fgets_chk(text, ROOM, 9, lines) == text);
  SAME(text, "one\n");
  EXPECT(__fgets_unlocked_chk(text, 5, 9, lines) == text);
  SAME(text, "two\n");
  EXPECT(__fread_chk(bytes, 8, 2, 2, lines) == 2);
  SAME(bytes, "thre");
  EXPECT(__fread_unlocked_chk(bytes, 8, 1, 2, lines) == 2);
  SAME(bytes, "e\nre");
  fclose(lines);
  lines = tmpfile();
  EXPECT(lines && fputs("one\ntwo\n", lines) >= 0);
  rewind(lines);
  EXPECT(__fgetws_chk(wide, ROOM, 9, lines) == wide);
  WIDE_SAME(wide, L"one\n");
  EXPECT(__fgetws_unlocked_chk(wide, 5, 9, lines) == wide);
  WIDE_SAME(wide, L"two\n");
  memset(bytes, 0, sizeof bytes);
  lseek(fileno(lines), 0, SEEK_SET);
  EXPECT(__read_chk(fileno(lines), bytes, 3, 8) == 3);
  SAME(bytes, "one");
  EXPECT(__pread_chk(fileno(lines), bytes, 3, 4, 8) == 3);
  SAME(bytes, "two");
  EXPECT(__pread64_chk(fileno(lines), bytes, 2, 1, 8) == 2);
  SAME(bytes, "neo");
  fclose(lines);
  return 0;
}

static const char *check_sockets(void) {
  char bytes[8] = {0};
  struct sockaddr_storage from;
  socklen_t from_size = sizeof from;
  struct timespec none = {0, 0};
  int pair[2];
  struct pollfd polled = {.events = POLLIN};

  EXPECT(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
  EXPECT(send(pair[0], "ping", 4, 0) == 4);
  polled.fd = pair[1];
  EXPECT(__poll_chk(&polled, 1, 0, sizeof polled) == 1);
  EXPECT(__ppoll_chk(&polled, 1, &none, 0, sizeof polled) == 1);
  EXPECT(__recv_chk(pair[1], bytes, 4, 8, MSG_PEEK) == 4);
  SAME(bytes, "ping");
  bytes[0] = 0;
  EXPECT(__recvfrom_chk(pair[1], bytes, 4, 8, MSG_DONTWAIT, (void *)&from, &from_size) == 4);
  SAME(bytes, "ping");
  EXPECT(from_size < sizeof from);
  EXPECT(__recv_chk(pair[1], bytes, 4, 8, MSG_DONTWAIT) == -1);
  close(pair[0]);
  close(pair[1]);
  EXPECT(__fdelt_chk(0) == 0 && __fdelt_chk(130) == 2);
  return 0;
}

static const char *check_names(void) {
  static char path[PATH_MAX], other[PATH_MAX];
  gid_t groups[1 << 10];
  int opened[4], terminal;

  EXPECT(__getcwd_chk(path, PATH_MAX, PATH_MAX) == path && path[0] == '/');
  EXPECT(__getwd_chk(other, PATH_MAX) == other);
  SAME(path, other);
  EXPECT(__realpath_chk("/.", path, PATH_MAX) == path);
  SAME(path, "/");
  EXPECT(symlink("target", "fortified-link") == 0);
  EXPECT(__readlink_chk("fortified-link", text, 6, ROOM) == 6);
  EXPECT(memcmp(text, "target", 6) == 0);
  EXPECT(__readlinkat_chk(AT_FDCWD, "fortified-link", text, 3, ROOM) == 3);
  EXPECT(unlink("fortified-link") == 0);
  EXPECT(__confstr_chk(_CS_PATH, text, ROOM, ROOM) > 1 && text[0] == '/');
  EXPECT(__getgroups_chk(1 << 10, groups, sizeof groups) >= 0);
  EXPECT(__gethostname_chk(text, ROOM, ROOM) == 0);
  EXPECT(__getdomainname_chk(text, ROOM, ROOM) == 0);
  __getlogin_r_chk(text, ROOM, ROOM);
  terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal >= 0) {
    EXPECT(__ptsname_r_chk(terminal, text, ROOM, ROOM) == 0);
    EXPECT(strncmp(text, "/dev/pts/", 9) == 0);
    close(terminal);
  }
  EXPECT(__ttyname_r_chk(-1, text, ROOM, ROOM) != 0);
  opened[0] = __open_2("/", O_RDONLY);
  opened[1] = __open64_2("/", O_RDONLY);
  opened[2] = __openat_2(AT_FDCWD, "/", O_RDONLY);
  opened[3] = __openat64_2(opened[0], ".", O_RDONLY);
  for (int i = 0; i < 4; i++) EXPECT(opened[i] >= 0 && close(opened[i]) == 0);
  EXPECT(__mq_open_2("/there-is-no-such-queue", O_RDONLY) == (mqd_t)-1);
  return 0;
}

static const char *check_jump(void) {
  static jmp_buf frame;
  volatile int jumps = 0;

  if (_setjmp(frame) == 0) {
    jumps++;
    __longjmp_chk(frame, 3);
  }
  EXPECT(jumps == 1);
  return 0;
}

/* A pointer to one of the functions, in data: the relocation is of another kind than a call's. */
static int (*const volatile pointer)(char *, int, size_t, const char *, ...) = __sprintf_chk;

static const char *check_pointer(void) {
  EXPECT(pointer(text, MODE_2, ROOM, "%d", 42) == 2);
  SAME(text, "42");
  return 0;
}

const char *check_all(void) {
  static const char *(*const checks[])(void) = {
      check_memory, check_strings, check_conversions, check_texts, check_streams,
      check_files,  check_sockets, check_names,       check_jump,  check_pointer,
  };
  for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
    const char *wrong = checks[i]();
    if (wrong) return wrong;
  }
  return 0;
}

void overflow(int function) {
  struct pollfd polled[2];

  switch (function) {
    case 0:
      __memcpy_chk(text, "abc", 4, three);
      break;
    case 1:
      __strcpy_chk(text, "abc", 3);
      break;
    case 2:
      __sprintf_chk(text, MODE_2, 3, "%d", 100);
      break;
    case 3:
      __snprintf_chk(text, 4, MODE_2, 3, "%d", 1);
      break;
    case 4:
      __read_chk(0, text, 4, 3);
      break;
    case 5:
      __fdelt_chk(1024);
      break;
    case 6:
      __open_2("/", O_RDONLY | O_CREAT);
      break;
    case 7:
      __poll_chk(polled, 2, 0, sizeof *polled);
      break;
    case 8:
      __strncat_chk(memset(text, 0, ROOM), "abcd", 3, 3);
      break;
    case 9:
      __fread_chk(text, ROOM, (size_t)-1, 2, stdin);
      break;
  }
}
