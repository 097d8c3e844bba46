"""What ``/proc`` says of a cell's threads."""

from gobun.observe.procfs import Thread, signal_numbers, signals_of, threads

__all__ = ["Thread", "signal_numbers", "signals_of", "threads"]
