"""Makes a run safe to show: no text from a module can control a terminal or hide."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from gobun.printable import printable

if TYPE_CHECKING:
    from gobun.matrix import Run

_T = TypeVar("_T", bound=msgspec.Struct)
_KEPT_CONTROLS = "\n\t"


def printable_run(run: Run) -> Run:
    """Return a run with all of its text made printable. Every report starts with this call."""
    header = msgspec.structs.replace(
        _printable(run.header),
        tools={_text(name): _text(version) for name, version in run.header.tools.items()},
        patched={_text(name): _text(patches) for name, patches in run.header.patched.items()},
        patches={
            _text(name): tuple(map(_text, patches)) for name, patches in run.header.patches.items()
        },
    )
    return msgspec.structs.replace(
        run, header=header, results=tuple(_printable(result) for result in run.results)
    )


def _printable(record: _T) -> _T:
    """Return a record with its strings and records, and those in its tuples, made printable."""
    changes: dict[str, object] = {}
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, str):
            if not value.isprintable():
                changes[name] = _text(value)
        elif isinstance(value, msgspec.Struct):
            changes[name] = _printable(value)
        elif isinstance(value, tuple) and value:
            changes[name] = tuple(map(_part, value))
    return msgspec.structs.replace(record, **changes) if changes else record


def _part(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return _printable(value)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    return printable(value, kept_characters=_KEPT_CONTROLS)
