"""An instruction that loads a TLS word, and the error for an unknown use of the word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun.errors import UsageError

if TYPE_CHECKING:
    from gobun.elf.image import Image

_MOST_REGIONS = 64


class Site(msgspec.Struct, frozen=True):
    """An instruction that loads a TLS word into a register."""

    address: int
    size: int
    """Bytes."""
    word: int
    """Address of the word."""
    register: int
    """Number of the register, as the processor encodes it."""


def regions(image: Image, words: list[int], size: int) -> list[list[int]]:
    """Group words by the aligned block of ``size`` bytes that contains them.

    A scan searches the code once for each group, so many words side by side take no longer than
    one.

    Raises:
        UsageError: there are too many groups.
    """
    blocks: dict[int, list[int]] = {}
    for word in words:
        blocks.setdefault(word // size, []).append(word)
    if len(blocks) > _MOST_REGIONS:
        raise UsageError(
            f"{image.path} has {len(words)} TLS words in {len(blocks)} places",
            hint="report the library: linkers put them side by side",
        )
    return list(blocks.values())


def unknown_use(image: Image, address: int, use: str) -> UsageError:
    """Return the error for a use of a TLS word that cannot be followed."""
    return UsageError(
        f"{image.path} uses its TLS word at {address:#x} in an unknown way: {use}",
        hint="compile its C code without -ftls-model=initial-exec, or report the library",
    )
