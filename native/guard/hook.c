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

/* glibc's linker replaces the offsets in the section with addresses. Other linkers leave offsets. */
static const void *at(const struct dl_phdr_info *object, ElfW(Addr) address) {
  return (const void *)(address < object->dlpi_addr ? object->dlpi_addr + address : address);
}

static bool read_dynamic(const struct dl_phdr_info *object, const ElfW(Phdr) * segment,
                         Dynamic *dynamic) {
  memset(dynamic, 0, sizeof *dynamic);
  const ElfW(Dyn) *each = (const ElfW(Dyn) *)(object->dlpi_addr + segment->p_vaddr);
  for (; each->d_tag != DT_NULL; each++) {
    switch (each->d_tag) {
      case DT_JMPREL:
        dynamic->relocations[0] = at(object, each->d_un.d_ptr);
        break;
      case DT_PLTRELSZ:
        dynamic->bytes[0] = each->d_un.d_val;
        break;
      case DT_RELA:
        dynamic->relocations[1] = at(object, each->d_un.d_ptr);
        break;
      case DT_RELASZ:
        dynamic->bytes[1] = each->d_un.d_val;
        break;
      case DT_RELACOUNT:
        dynamic->nameless = each->d_un.d_val;
        break;
      case DT_SYMTAB:
        dynamic->symbols = at(object, each->d_un.d_ptr);
        break;
      case DT_STRTAB:
        dynamic->names = at(object, each->d_un.d_ptr);
        break;
    }
  }
  return dynamic->symbols != NULL && dynamic->names != NULL;
}

/* Whether the linker made this place read-only after it had written the address. */
static bool sealed(const struct dl_phdr_info *object, uintptr_t place) {
  for (unsigned each = 0; each < object->dlpi_phnum; each++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[each];
    if (segment->p_type == PT_GNU_RELRO &&
        place - object->dlpi_addr - segment->p_vaddr < segment->p_memsz) {
      return true;
    }
  }
  return false;
}

static bool contains(const struct dl_phdr_info *object, uintptr_t address) {
  for (unsigned each = 0; each < object->dlpi_phnum; each++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[each];
    if (segment->p_type == PT_LOAD &&
        address - object->dlpi_addr - segment->p_vaddr < segment->p_memsz) {
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

static void record_function(GuardProgramHook *hook, void **place, void *now, bool unbound) {
  if (unbound) hook->place = place;
  if (unbound && hook->real == NULL) hook->real = hook->linker = now;
  if (!unbound) hook->real = now;
}

static void replace(const struct dl_phdr_info *object, void **place, bool lazy,
                    const Exchange *exchange) {
  void *now = __atomic_load_n(place, __ATOMIC_RELAXED);
  /* Before the first call this is the object's own code, which makes the linker look up the
   * name. */
  bool unbound = lazy && contains(object, (uintptr_t)now);
  if (exchange->theirs == NULL) {
    record_function(exchange->program, place, now, unbound);
  } else if (now != exchange->theirs && !unbound) {
    return;
  }
  write_place(object, place, exchange->mine);
}

static int exchange_in(struct dl_phdr_info *object, size_t size, void *data) {
  (void)size;
  Exchange *exchange = data;
  Dynamic dynamic;
  const ElfW(Phdr) *segment = NULL;
  for (unsigned each = 0; each < object->dlpi_phnum; each++) {
    if (object->dlpi_phdr[each].p_type == PT_DYNAMIC) segment = &object->dlpi_phdr[each];
  }
  int stop = exchange->program != NULL;
  if (segment == NULL || contains(object, (uintptr_t)&guard_hook)) return stop;
  /* The kernel's own object has a table of names, and no addresses to write. */
  uintptr_t kernels = getauxval(AT_SYSINFO_EHDR);
  if (kernels != 0 && contains(object, kernels)) return stop;
  if (!read_dynamic(object, segment, &dynamic)) return stop;
  for (unsigned table = 0; table < 2; table++) {
    const ElfW(Rela) *each = dynamic.relocations[table];
    if (each == NULL) continue;
    const ElfW(Rela) *end = (const ElfW(Rela) *)((const char *)each + dynamic.bytes[table]);
    if (table == 1) each += dynamic.nameless;
    for (; each < end; each++) {
      unsigned kind = ELF64_R_TYPE(each->r_info), symbol = ELF64_R_SYM(each->r_info);
      if (kind != TO_CALL && kind != TO_ADDRESS) continue;
      if (strcmp(dynamic.names + dynamic.symbols[symbol].st_name, exchange->name) != 0) continue;
      replace(object, (void **)(object->dlpi_addr + each->r_offset), kind == TO_CALL, exchange);
    }
  }
  return stop; /* the program is the first object */
}

void guard_hook(GuardSigaction *theirs, GuardSigaction *mine) {
  Exchange exchange = {"sigaction", (void *)theirs, (void *)mine, NULL};
  dl_iterate_phdr(exchange_in, &exchange);
}

/* Once is enough: a guard that hooks the same function later calls this one. */
void guard_hook_program(GuardProgramHook *hook) {
  if (hook->real != NULL) return;
  Exchange exchange = {hook->name, NULL, hook->mine, hook};
  dl_iterate_phdr(exchange_in, &exchange);
}

void guard_stay_hooked(GuardProgramHook *hook) {
  if (hook->place == NULL) return;
  void *now = __atomic_load_n(hook->place, __ATOMIC_RELAXED);
  if (now == hook->mine) return;
  if (hook->real == hook->linker) hook->real = now;
  if (hook->real == now) __atomic_store_n(hook->place, hook->mine, __ATOMIC_RELEASE);
}

#endif
