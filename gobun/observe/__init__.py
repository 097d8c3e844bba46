"""Observes a running process from outside, with ``/proc``, an inspector that uses ptrace, and gdb.

This is the package's public interface. It returns records of facts. Other packages interpret them.
"""

from gobun.observe.backtrace import backtrace, core_backtrace
from gobun.observe.blocking import Answer, Blocked, all_stuck, blocked_thread, blocked_threads
from gobun.observe.callers import Caller
from gobun.observe.cores import find_core
from gobun.observe.descriptors import Descriptor, Wakes
from gobun.observe.mapped_files import chunks, open_mapped, open_program
from gobun.observe.memory import Mapping, at_address, mappings, owner
from gobun.observe.proc_files import read_bytes, read_link
from gobun.observe.processors import affinity_kept, move_to, processor_of
from gobun.observe.procfs import Thread, family, kernel_function_of, syscall_of, threads
from gobun.observe.scheduling import Usage, able_share, runnable_tasks, usage
from gobun.observe.signal_looks import Look, looks_at_signals, looks_in_turn
from gobun.observe.signals import SA_ONSTACK, flag_names, mask_text, signal_name, signal_numbers
from gobun.observe.snapshot import Handler, Snapshot, Stack, ThreadView, take_snapshot
from gobun.observe.snapshot_text import handler_text, render_snapshot, stack_text
from gobun.observe.syscalls import EVENT_WAITS

__all__ = [
    "EVENT_WAITS",
    "SA_ONSTACK",
    "Answer",
    "Blocked",
    "Caller",
    "Descriptor",
    "Handler",
    "Look",
    "Mapping",
    "Snapshot",
    "Stack",
    "Thread",
    "ThreadView",
    "Usage",
    "Wakes",
    "able_share",
    "affinity_kept",
    "all_stuck",
    "at_address",
    "backtrace",
    "blocked_thread",
    "blocked_threads",
    "chunks",
    "core_backtrace",
    "family",
    "find_core",
    "flag_names",
    "handler_text",
    "kernel_function_of",
    "looks_at_signals",
    "looks_in_turn",
    "mappings",
    "mask_text",
    "move_to",
    "open_mapped",
    "open_program",
    "owner",
    "processor_of",
    "read_bytes",
    "read_link",
    "render_snapshot",
    "runnable_tasks",
    "signal_name",
    "signal_numbers",
    "stack_text",
    "syscall_of",
    "take_snapshot",
    "threads",
    "usage",
]
