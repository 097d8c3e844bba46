"""An instruction that loads a TLS word, and the refusal of one that is not understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun.errors import UsageError

if TYPE_CHECKING:
    from gobun.elf.image import Image


class Site(msgspec.Struct, frozen=True):
    """An instruction that loads a TLS word into a register."""

    address: int
    size: int
    """Bytes."""
    word: int
    """Address of the word."""
    register: int
    """Number of the register, as the architecture counts them."""


def unknown_use(image: Image, address: int, what: str) -> UsageError:
    """Return the error for a use of a TLS word that cannot be followed."""
    return UsageError(
        f"{image.path} uses its TLS word at {address:#x} in an unknown way: {what}",
        hint="compile its C code without -ftls-model=initial-exec, or report the library",
    )
