"""Checks whether a library loads in a musl process, and lists the obstacles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun.elf.tls import initial_exec_words, sites_of
from gobun.errors import UsageError
from gobun.musl.libc import GLIBC_NAMES, missing_functions
from gobun.musl.startup import is_converted

if TYPE_CHECKING:
    from gobun.elf import Image

_MOST_SHOWN = 12


class MuslSupport(msgspec.Struct, frozen=True):
    """Whether a library loads in a musl process, as on Alpine."""

    tls_words: int
    """Words of initial-exec TLS, which musl rejects in ``dlopen``."""
    sites: int | None
    """Instructions that load them, or None if a use is not recognised."""
    already_converted: bool
    """Whether ``convert-musl`` made it."""
    problems: tuple[str, ...]
    """Reasons why it does not load, one clause each. Empty if none are known."""


def support_of(image: Image) -> MuslSupport:
    """Return whether a library loads in a musl process.

    Raises:
        UsageError: the library contradicts itself.
    """
    words = initial_exec_words(image)
    sites: int | None = 0
    problems: list[str] = []
    if words:
        loads_text = ""
        try:
            sites = len(sites_of(image, words))
            loads_text = f" ({sites:,} instructions load from them)"
        except UsageError as error:
            sites = None
            problems.append(error.what.removeprefix(f"{image.path} "))
        plural = "s" if len(words) > 1 else ""
        words_text = f"{len(words)} word{plural} of initial-exec TLS{loads_text}"
        problems.insert(0, f"has {words_text}, which musl refuses in dlopen")
    glibc_libraries = [name for name in image.needed_libraries if name in GLIBC_NAMES]
    if glibc_libraries:
        problems.append(f"needs {', '.join(glibc_libraries)}, which Bun for musl refuses by name")
    missing = missing_functions(image)
    if missing:
        more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
        problems.append(f"calls {', '.join(missing[:_MOST_SHOWN])}{more}, which musl does not have")
    return MuslSupport(len(words), sites, is_converted(image), tuple(problems))
