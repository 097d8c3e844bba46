"""Reads TOML files into records. Errors name the table and the key."""

from __future__ import annotations

import copy
import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gobun.decoding import decoder_of
from gobun.errors import UsageError
from gobun.files import read_input

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_Record = TypeVar("_Record")

_ERROR_MESSAGE = re.compile(r"(.*?)(?: - at `\$(\S*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_ANY_TABLE = "..."
"""msgspec's name for a table with an arbitrary name, as in [stress.NAME]."""


def parse_toml(data: bytes) -> dict[str, Any]:
    """Parse untrusted TOML.

    Raises:
        ValueError: it is not TOML; the message names the place. This covers numbers of thousands of
            digits, and nesting deeper than the parser can follow.
    """
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8") from error
    except RecursionError as error:
        raise ValueError("its tables or lists are nested too deep") from error


def read_toml(path: Path, kind: type[_Record]) -> _Record:
    """Read a TOML file into a record.

    Raises:
        UsageError: it is missing, is not TOML, or has an unknown or a wrong key.
    """
    try:
        content = parse_toml(read_input(path))
    except ValueError as error:
        raise UsageError(
            f"{path} is not TOML: {error}", hint="correct the file at that place"
        ) from error
    decoder_of(kind)  # several threads may convert a kind of file for the first time
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        problem, hint = _translate_error(str(error), content, kind)
        raise UsageError(f"{path}: {problem}", hint=hint) from error


def _translate_error(message: str, content: dict[str, Any], kind: type) -> tuple[str, str]:
    """Translate an error of msgspec to TOML terms, and add a hint."""
    problem, at = _ERROR_MESSAGE.fullmatch(message).groups()  # type: ignore[union-attr]
    steps = [_step(*match.groups()) for match in _STEP.finditer(at or "")]
    for number, step in enumerate(steps):
        if step == _ANY_TABLE:
            steps[number] = _wrong_table(message, content, kind, steps[:number])
    if field := _FIELD.fullmatch(problem):
        key = field[2]
        if field[1] == "missing required":
            return f"{_table(steps)} lacks the key {key!r}", "add it"
        near = UsageError.unknown("key", key, _keys(kind, steps))
        return f"{_table(steps)} has an unknown key {key!r}", near.hint or ""
    items: list[str] = []
    while steps and isinstance(last := steps[-1], int):
        items.insert(0, f", item {last + 1}")
        del steps[-1]
    key = f"{steps.pop()} of " if steps else ""
    problem_text = problem[:1].lower() + problem[1:].replace("`object`", "a table").replace(
        " | null", ""
    )
    return f"{key}{_table(steps)}{''.join(items)}: {problem_text}", "correct its value"


def _step(name: str | None, index: str) -> str | int:
    if name is not None:
        return name
    return index if index == _ANY_TABLE else int(index)


def _keys(kind: type, steps: Sequence[str | int]) -> list[str]:
    """Return the keys that a table may have."""
    info: Any = msgspec.inspect.type_info(kind)
    for step in steps:
        if isinstance(info, msgspec.inspect.StructType):
            info = next(field.type for field in info.fields if field.encode_name == step)
        else:
            info = getattr(info, "item_type", None) or info.value_type
        if isinstance(info, msgspec.inspect.UnionType):
            info = next(t for t in info.types if not isinstance(t, msgspec.inspect.NoneType))
    return [field.encode_name for field in info.fields]


def _wrong_table(
    message: str, content: dict[str, Any], kind: type, steps: Sequence[str | int]
) -> str:
    """Return the name of the invalid table among those with arbitrary names.

    Without the others, it still causes the same error.
    """
    tables: Any = content
    for step in steps:
        tables = tables[step]
    for name, table in tables.items():
        try:
            msgspec.convert(_replaced(content, steps, {name: table}), kind)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(name)
    return _ANY_TABLE


def _replaced(content: Any, steps: Sequence[str | int], value: object) -> Any:  # noqa: ANN401 - TOML
    if not steps:
        return value
    copied = copy.copy(content)
    copied[steps[0]] = _replaced(content[steps[0]], steps[1:], value)
    return copied


def _table(steps: Sequence[str | int]) -> str:
    """Return how a person finds a table: ``[matrix]``, ``row 4 of [[expect]]``."""
    names = [str(step) for step in steps if not isinstance(step, int)]
    if not names:
        return "the file"
    rows = [
        f"row {step + 1} of [[{'.'.join(str(s) for s in steps[:at] if not isinstance(s, int))}]]"
        for at, step in enumerate(steps)
        if isinstance(step, int)
    ]
    if not isinstance(steps[-1], int):
        rows.append(f"[{'.'.join(names)}]")
    return " in ".join(reversed(rows))
