/* Makes the loaded objects call functions through the guard. It replaces the addresses that the
 * dynamic linker wrote for them. */
#define _GNU_SOURCE
#include "core.h"

#ifdef __linux__

#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined __x86_64__
enum { TO_CALL = R_X86_64_JUMP_SLOT, TO_ADDRESS = R_X86_64_GLOB_DAT };
#else
enum { TO_CALL = R_AARCH64_JUMP_SLOT, TO_ADDRESS = R_AARCH64_GLOB_DAT };
#endif

typedef struct {
  const char *name;
  void *theirs, *mine; /* NULL for `theirs` means any function */
  GuardProgramHook
      *program; /* change only the program, and record that here; NULL for all objects */
} Exchange;

typedef struct {
  const ElfW(Rela) * relocations[2];
  size_t bytes[2];
  size_t nameless; /* relocations at the start of the second table, often most of it */
  const ElfW(Sym) * symbols;
  const char *names;
} Dynamic;

/* glibc's linker writes addresses into the section. Where it did not, they are offsets. */
static const void *at(const struct dl_phdr_info *object, ElfW(Addr) address) {
  return (const void *)(address < object->dlpi_addr ? object->dlpi_addr + address : address);
}

static bool read_dynamic(const struct dl_phdr_info *object, const ElfW(Phdr) * part,
                         Dynamic *found) {
  memset(found, 0, sizeof *found);
  const ElfW(Dyn) *each = (const ElfW(Dyn) *)(object->dlpi_addr + part->p_vaddr);
  for (; each->d_tag != DT_NULL; each++) {
    switch (each->d_tag) {
      case DT_JMPREL:
        found->relocations[0] = at(object, each->d_un.d_ptr);
        break;
      case DT_PLTRELSZ:
        found->bytes[0] = each->d_un.d_val;
        break;
      case DT_RELA:
        found->relocations[1] = at(object, each->d_un.d_ptr);
        break;
      case DT_RELASZ:
        found->bytes[1] = each->d_un.d_val;
        break;
      case DT_RELACOUNT:
        found->nameless = each->d_un.d_val;
        break;
      case DT_SYMTAB:
        found->symbols = at(object, each->d_un.d_ptr);
        break;
      case DT_STRTAB:
        found->names = at(object, each->d_un.d_ptr);
        break;
    }
  }
  return found->symbols != NULL && found->names != NULL;
}

/* Whether the linker made this place read-only after it had written the address. */
static bool sealed(const struct dl_phdr_info *object, uintptr_t place) {
  for (unsigned each = 0; each < object->dlpi_phnum; each++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[each];
    if (part->p_type == PT_GNU_RELRO && place - object->dlpi_addr - part->p_vaddr < part->p_memsz) {
      return true;
    }
  }
  return false;
}

static bool contains(const struct dl_phdr_info *object, uintptr_t address) {
  for (unsigned each = 0; each < object->dlpi_phnum; each++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[each];
    if (part->p_type == PT_LOAD && address - object->dlpi_addr - part->p_vaddr < part->p_memsz) {
      return true;
    }
  }
  return false;
}

static void write_place(const struct dl_phdr_info *object, void **place, void *function) {
  uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE), page = (uintptr_t)place & ~(size - 1);
  bool closed = sealed(object, (uintptr_t)place);
  if (closed && mprotect((void *)page, size, PROT_READ | PROT_WRITE) != 0) return;
  __atomic_store_n(place, function, __ATOMIC_RELEASE);
  /* Seal only a whole page: a partly sealed one may hold the linker's lazy addresses. */
  if (closed && sealed(object, page) && sealed(object, page + size - 1)) {
    mprotect((void *)page, size, PROT_READ);
  }
}

static void note(GuardProgramHook *hook, void **place, void *now, bool unbound) {
  if (unbound) hook->place = place;
  if (unbound && hook->real == NULL) hook->real = hook->linker = now;
  if (!unbound) hook->real = now;
}

static void replace(const struct dl_phdr_info *object, void **place, bool lazy,
                    const Exchange *wanted) {
  void *now = __atomic_load_n(place, __ATOMIC_RELAXED);
  /* Before the first call this is the object's own code, which makes the linker look up the
   * name. */
  bool unbound = lazy && contains(object, (uintptr_t)now);
  if (wanted->theirs == NULL) {
    note(wanted->program, place, now, unbound);
  } else if (now != wanted->theirs && !unbound) {
    return;
  }
  write_place(object, place, wanted->mine);
}

static int exchange_in(struct dl_phdr_info *object, size_t size, void *data) {
  (void)size;
  Exchange *wanted = data;
  Dynamic dynamic;
  const ElfW(Phdr) *found = NULL;
  for (unsigned each = 0; each < object->dlpi_phnum; each++) {
    if (object->dlpi_phdr[each].p_type == PT_DYNAMIC) found = &object->dlpi_phdr[each];
  }
  int stop = wanted->program != NULL;
  if (found == NULL || contains(object, (uintptr_t)&guard_hook)) return stop;
  /* The kernel's own object has a table of names, and no addresses to write. */
  uintptr_t kernels = getauxval(AT_SYSINFO_EHDR);
  if (kernels != 0 && contains(object, kernels)) return stop;
  if (!read_dynamic(object, found, &dynamic)) return stop;
  for (unsigned table = 0; table < 2; table++) {
    const ElfW(Rela) *each = dynamic.relocations[table];
    if (each == NULL) continue;
    const ElfW(Rela) *end = (const ElfW(Rela) *)((const char *)each + dynamic.bytes[table]);
    if (table == 1) each += dynamic.nameless;
    for (; each < end; each++) {
      unsigned kind = ELF64_R_TYPE(each->r_info), symbol = ELF64_R_SYM(each->r_info);
      if (kind != TO_CALL && kind != TO_ADDRESS) continue;
      if (strcmp(dynamic.names + dynamic.symbols[symbol].st_name, wanted->name) != 0) continue;
      replace(object, (void **)(object->dlpi_addr + each->r_offset), kind == TO_CALL, wanted);
    }
  }
  return stop; /* the program is the first */
}

void guard_hook(GuardSigaction *theirs, GuardSigaction *mine) {
  Exchange wanted = {"sigaction", (void *)theirs, (void *)mine, NULL};
  dl_iterate_phdr(exchange_in, &wanted);
}

/* Once is enough: a guard that hooks the same function later calls this one. */
void guard_hook_program(GuardProgramHook *hook) {
  if (hook->real != NULL) return;
  Exchange wanted = {hook->name, NULL, hook->mine, hook};
  dl_iterate_phdr(exchange_in, &wanted);
}

void guard_stay_hooked(GuardProgramHook *hook) {
  if (hook->place == NULL) return;
  void *now = __atomic_load_n(hook->place, __ATOMIC_RELAXED);
  if (now == hook->mine) return;
  if (hook->real == hook->linker) hook->real = now;
  if (hook->real == now) __atomic_store_n(hook->place, hook->mine, __ATOMIC_RELEASE);
}

#endif
