"""TOML files read into records; anything unknown in them is an error that names it."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, TypeVar

import msgspec

from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_Record = TypeVar("_Record")


def read_toml(path: Path, kind: type[_Record]) -> _Record:
    """Read a TOML file into a record.

    Raises:
        UsageError: it is missing, is not TOML, or has an unknown or a wrong key.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), kind)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: {error}", hint="`$.a.b` is key b of table [a]") from error
