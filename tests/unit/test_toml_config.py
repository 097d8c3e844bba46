"""Errors in a TOML file name the file, the table and the key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec
import pytest

from gobun.errors import UsageError
from gobun.toml_config import read_toml

if TYPE_CHECKING:
    from pathlib import Path


class Part(msgspec.Struct, forbid_unknown_fields=True):
    asks: str
    ends: tuple[Literal["pass", "hang"], ...] = ()
    part: tuple[Part, ...] = ()


class Document(msgspec.Struct, forbid_unknown_fields=True):
    named: dict[str, Part] = {}
    row: tuple[Part, ...] = ()
    jobs: int | None = None
    one: Part | None = None


VALID_TOML = '[named.fine]\nasks = "x"\n[[row]]\nasks = "x"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("josb = 1", "the file has an unknown key 'josb'"),
        ("jobs = 1.5", "jobs of the file: expected `int`, got `float`"),
        (f"{VALID_TOML}[named.bad]\nasks = 1", "asks of [named.bad]: expected `str`, got `int`"),
        (f"{VALID_TOML}[named.bad]", "[named.bad] lacks the key 'asks'"),
        (f"{VALID_TOML}[[row]]\nends = []", "row 2 of [[row]] lacks the key 'asks'"),
        (
            f'{VALID_TOML}[[row]]\nasks = ""\nends = ["pass", "hnag"]',
            "ends of row 2 of [[row]], item 2: invalid enum value 'hnag'",
        ),
        (
            f'{VALID_TOML}[[row.part]]\nasks = ""\n[[row.part]]\nasks = ""\nx = 1',
            "row 2 of [[row.part]] in row 1 of [[row]] has an unknown key 'x'",
        ),
        ("row = [1]", "row of the file, item 1: expected a table, got `int`"),
        ("named = 1", "named of the file: expected a table, got `int`"),
    ],
)
def test_toml_error_names_table_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "some.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_toml(path, Document)
    assert caught.value.what == f"{path}: {message}"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("josb = 1", "did you mean: jobs"),
        ("zz = 1", "known: named, row, jobs, one"),
        (f"{VALID_TOML}[named.bad]\nask = 1", "did you mean: asks"),
        (f'{VALID_TOML}[[row.part]]\nasks = ""\nend = 1', "did you mean: ends"),
        ("[one]\nakss = 1", "did you mean: asks"),
    ],
)
def test_toml_misspelt_key_suggests_the_right_one(tmp_path: Path, text: str, hint: str) -> None:
    path = tmp_path / "some.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_toml(path, Document)
    assert caught.value.hint == hint


def test_toml_unparsable_file_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_bytes(b'why = "\xff"')
    with pytest.raises(UsageError, match="is not TOML: byte 8 is not UTF-8"):
        read_toml(path, Document)
    with pytest.raises(UsageError, match="Is a directory"):
        read_toml(tmp_path, Document)
    path.write_text(VALID_TOML, encoding="utf-8")
    assert read_toml(path, Document).named["fine"].asks == "x"
