/* The handlers behind the entries. A slot is filled once and never freed, because it may be in
 * use. */
#define _GNU_SOURCE
#include "action.h"

#ifdef __linux__

#include <link.h>

GUARD_HIDDEN GuardSlot guard_slots[GUARD_SLOTS];

/* The segments of the program, which is the first object and is never unloaded. */
static struct {
  uintptr_t low, high;
} program;

static int note_program(struct dl_phdr_info *object, size_t size, void *data) {
  (void)size;
  (void)data;
  uintptr_t low = UINTPTR_MAX, high = 0;
  for (unsigned each = 0; each < object->dlpi_phnum; each++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[each];
    if (segment->p_type != PT_LOAD) continue;
    uintptr_t start = object->dlpi_addr + segment->p_vaddr, end = start + segment->p_memsz;
    if (start < low) low = start;
    if (end > high) high = end;
  }
  program.low = low;
  program.high = high;
  return 1;
}

void guard_find_program(void) {
  if (program.high == 0) dl_iterate_phdr(note_program, NULL);
}

bool guard_in_program(uint64_t address) { return address >= program.low && address < program.high; }

bool guard_own_entry(uint64_t handler) {
  uint64_t at = handler - (uint64_t)(uintptr_t)guard_entries;
  return at < GUARD_SLOTS * GUARD_ENTRY_BYTES && at % GUARD_ENTRY_BYTES == 0;
}

uint64_t guard_entry_of(const GuardSlot *slot) {
  return (uint64_t)(uintptr_t)guard_entries + (uint64_t)(slot - guard_slots) * GUARD_ENTRY_BYTES;
}

GUARD_ONCE GuardSlot *guard_slot_of(uint64_t handler) {
  /* With this alignment a read does not reach into another page. */
  if (!guard_is_function(handler) || handler % GUARD_ENTRY_BYTES != 0) return NULL;
  /* An unloaded library may have left a handler behind, and code need not be readable. */
  if (!guard_readable(handler)) return NULL;
  const char *code = (const char *)(uintptr_t)handler;
  uint64_t mark;
  int64_t distance;
  memcpy(&mark, code + GUARD_MARK_AT, sizeof mark);
  if (mark != GUARD_MARK) return NULL;
  memcpy(&distance, code + GUARD_SLOT_AT, sizeof distance);
  return (GuardSlot *)(uintptr_t)(code + GUARD_SLOT_AT + distance);
}

/* Equal actions share a slot. So a program that sets the same two handlers in turn for ever
 * needs two. */
GUARD_ONCE GuardSlot *guard_slot_for(const GuardAction *owner) {
  for (unsigned each = 0; each < GUARD_SLOTS; each++) {
    GuardSlot *slot = &guard_slots[each];
    uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
    if (state == 0 && __atomic_compare_exchange_n(&slot->state, &state, GUARD_TAKEN, false,
                                                  __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
      slot->handler = owner->handler;
      slot->flags = owner->flags;
      slot->mask = owner->mask;
      slot->sharers = guard_sharers;
      slot->kept = &guard_kept;
      __atomic_store_n(&slot->state, GUARD_READY, __ATOMIC_RELEASE);
      state = GUARD_READY;
    }
    if (state == GUARD_READY && slot->handler == owner->handler && slot->flags == owner->flags &&
        slot->mask == owner->mask) {
      return slot;
    }
  }
  __atomic_fetch_add(&guard_counts.full, 1, __ATOMIC_RELAXED);
  return NULL;
}

void guard_show(const GuardSlot *slot, struct sigaction *action) {
  action->sa_handler = (void (*)(int))(uintptr_t)slot->handler;
  action->sa_flags = (int)slot->flags;
  memcpy(&action->sa_mask, &slot->mask, sizeof slot->mask);
}

GuardAction guard_from_libc(const struct sigaction *action) {
  GuardAction result = {.handler = (uint64_t)(uintptr_t)action->sa_handler,
                        .flags = (uint32_t)action->sa_flags,
                        .restorer = 0};
  memcpy(&result.mask, &action->sa_mask, sizeof result.mask);
  return result;
}

#endif
