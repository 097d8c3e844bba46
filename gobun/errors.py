"""One error class per exit code. Every message states the failure, the input and a hint."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


_LONGEST_GIVEN = 100


class GobunError(Exception):
    """Base of every error a person can act on.

    ``what`` describes the failure and its position. ``hint`` is the next step for the person.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  next: {self.hint}" if self.hint else self.what


class UnexpectedOutcomeError(GobunError):
    """A run finished, and at least one cell was not as expected."""

    exit_code = 1


class UsageError(GobunError):
    """The arguments or a configuration file are invalid."""

    exit_code = 2

    @classmethod
    def unknown(cls, kind: str, name: str, known_names: Iterable[str]) -> UsageError:
        """Return the error for a name that is not in a closed set, with the near matches."""
        names = list(known_names)
        name = name if len(name) <= _LONGEST_GIVEN else f"{name[:_LONGEST_GIVEN]}…"
        near = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
        shown_names = near or names[:20]
        rest = "" if near or len(names) <= 20 else f" … ({len(names)} in all)"
        lead = "did you mean" if near else "known"
        return cls(f"unknown {kind} {name!r}", hint=f"{lead}: {', '.join(shown_names)}{rest}")


class PrerequisiteError(GobunError):
    """The machine lacks a requirement: a tool, a writable disk, or free space."""

    exit_code = 3


class FetchError(GobunError):
    """A download failed, or does not match the lock file."""

    exit_code = 4


class PatchError(GobunError):
    """A patch does not apply."""

    exit_code = 5


class BuildError(GobunError):
    """A compiler or a linker failed, or their result did not pass its audit."""

    exit_code = 6
