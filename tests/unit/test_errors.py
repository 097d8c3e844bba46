"""One class for each exit code, and messages with a next step."""

from __future__ import annotations

import pytest

from gobun import errors
from gobun.errors import GobunError, UsageError


def test_errors_have_distinct_exit_codes() -> None:
    codes = {kind.__name__: kind.exit_code for kind in GobunError.__subclasses__()}
    assert codes == {
        "UnexpectedOutcomeError": 1,
        "UsageError": 2,
        "PrerequisiteError": 3,
        "FetchError": 4,
        "PatchError": 5,
        "BuildError": 6,
    }


def test_errors_give_the_next_step() -> None:
    assert str(errors.FetchError("it broke", hint="mend it")) == "it broke\n  next: mend it"
    assert str(errors.FetchError("it broke")) == "it broke"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("crypot", "did you mean: crypto"),
        ("setup_full", "did you mean: setup-full"),
        ("zzz", "known: control, simple, crypto, setup-full"),
        ("", "known: control, simple, crypto, setup-full"),
    ],
)
def test_errors_suggest_near_matches_or_all(name: str, hint: str) -> None:
    names = ("control", "simple", "crypto", "setup-full")
    error = UsageError.unknown("module", name, iter(names))
    assert error.what == f"unknown module {name!r}"
    assert error.hint == hint


def test_errors_long_list_is_truncated() -> None:
    error = UsageError.unknown("version", "zzz", [f"1.0.{patch}" for patch in range(40)])
    assert error.hint is not None
    assert error.hint.endswith("1.0.18, 1.0.19 … (40 in all)")
