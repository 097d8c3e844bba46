/* Runs the initialisers of a Go library that was converted for musl, with arguments.

   glibc passes argc, argv and envp to initialisers. musl passes nothing. Go's initialiser takes its
   second argument for argv, and reads on from there to envp and to auxv. So the converter has musl
   call this code in place of the initialisers. It builds the block that Go expects, in the layout
   that the kernel uses on a new stack, and passes it to each initialiser. The auxv in the block is
   empty. Go then reads /proc/self/auxv.

   This code makes system calls and does not use libc. The library may not import the functions that
   it would need, and musl holds the lock of its loader meanwhile. */

#include "system_calls.h"

#if defined(__x86_64__)
static const word *thread(word *pointer) {
  const word *dtv;

  __asm__("mov %%fs:0, %0" : "=r"(*pointer));
  __asm__("mov %%fs:8, %0" : "=r"(dtv));
  return dtv;
}
#elif defined(__aarch64__)
static const word *thread(word *pointer) {
  __asm__("mrs %0, tpidr_el0" : "=r"(*pointer));
  return ((const word **)*pointer)[-1];
}
#endif

enum { AT_FDCWD = -100, O_CLOEXEC = 02000000, EINTR = 4 };
enum { PROT_READ_WRITE = 3, MAP_PRIVATE_ANONYMOUS = 0x22, FIRST_SIZE = 16384 };
enum { MOST_LIBRARIES = 1 << 20 };

/* The converter appends this table to the code. Its distances are in bytes, from the table. */
struct table {
  long first;           /* distance to the initialiser that this code replaces in the array */
  long others;          /* distance to the rest of that array */
  word count;           /* number of entries in the rest */
  long tls_word;        /* distance to the word with the loader's module number of this library */
  word tls_offset;      /* offset of Go's variable in the thread-local storage of this library */
};

extern const struct table table __attribute__((visibility("hidden")));

static char *const nothing[4] = {0, 0, 0, 0};

typedef void (*initialiser)(int, char **, char **);

static char *map(word size) {
  long at = call(SYS_mmap, 0, (long)size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);

  return (word)at > -4096UL ? 0 : (char *)at;
}

/* Returns the content of a file, followed by zero bytes. The size is 0 if the file cannot be read. */
static char *file(const char *path, word *size) {
  word capacity = FIRST_SIZE, length = 0;
  char *text;
  long fd = call(SYS_openat, AT_FDCWD, (long)path, O_CLOEXEC, 0, 0, 0);

  *size = 0;
  if (fd < 0) return 0;
  text = map(capacity);
  while (text) {
    long received =
        call(SYS_read, fd, (long)(text + length), (long)(capacity - length - 2), 0, 0, 0);

    if (received == -EINTR) continue;
    if (received <= 0) break;
    length += (word)received;
    if (length == capacity - 2) {
      char *larger = map(capacity * 2);

      if (!larger) break;
      for (word i = 0; i < length; i++) ((volatile char *)larger)[i] = text[i];
      call(SYS_munmap, (long)text, (long)capacity, 0, 0, 0, 0);
      text = larger;
      capacity *= 2;
    }
  }
  call(SYS_close, fd, 0, 0, 0, 0, 0);
  *size = text ? length : 0;
  return text;
}

static word count(const char *text, word size) {
  word strings = size && text[size - 1] ? 1 : 0;

  for (word i = 0; i < size; i++) strings += !text[i];
  return strings;
}

static char **fill_pointers(char **to, char *text, word size) {
  for (word i = 0; i < size; i++) {
    *to++ = text + i;
    while (i < size && text[i]) i++;
  }
  return to;
}

static void fail(const char *line) {
  complain(line);
  call(SYS_exit_group, FAILED, 0, 0, 0, 0, 0);
}

/* Ends the process if the C library does not lay out thread-local storage as musl does since 1.1.22.
   The converted code relies on that layout. */
static void check_layout(const struct table *t) {
  word pointer, library = *(const word *)((const char *)t + t->tls_word);
  const word *dtv = thread(&pointer);

#if defined(__x86_64__)
  if (*(const word *)pointer != pointer) dtv = 0;
#endif
  if (!dtv || !library || dtv[0] < library || dtv[0] > MOST_LIBRARIES || dtv[library] < 4096 ||
      *(const word *)(dtv[library] + t->tls_offset) != 0)
    fail(
        "a Go library that was converted for musl cannot run here: the C library keeps "
        "thread-local storage in another way; load the unconverted library with glibc\n");
}

__attribute__((section(".text.start"))) void start(void) {
  const struct table *t = &table;
  word arguments_size, environment_size, argc, envc;
  char *arguments, *environment, **argv, **envp;
  const word *entries = (const word *)((const char *)t + t->others);

  check_layout(t);
  arguments = file("/proc/self/cmdline", &arguments_size);
  environment = file("/proc/self/environ", &environment_size);
  argc = count(arguments, arguments_size);
  envc = count(environment, environment_size);
  /* argv, NULL, envp, NULL, and an empty auxv. Go keeps pointers into it, so it is never freed. */
  argv = (char **)map((argc + envc + 4) * sizeof *argv);
  if (argv) {
    envp = fill_pointers(argv, arguments, arguments_size) + 1;
    fill_pointers(envp, environment, environment_size);
  } else {
    argc = 0;
    argv = (char **)nothing;
    envp = argv + 1;
  }
  ((initialiser)((const char *)t + t->first))((int)argc, argv, envp);
  for (word i = 0; i < t->count; i++)
    if (entries[i] && entries[i] != -1UL) ((initialiser)entries[i])((int)argc, argv, envp);
}
