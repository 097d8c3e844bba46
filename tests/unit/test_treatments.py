"""Every page and table that names a treatment agrees with the table of treatments."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from gobun import matrix, paths
from gobun.build import Fixture
from gobun.cells import Cell, read_scenario
from gobun.runtimes import Bun, Deno, LacksError, Node, treated_environment
from gobun.targets import TARGETS
from gobun.treatments import (
    GUARD_SWITCH,
    PRELOAD_WORDS,
    TREATMENTS,
    TreatmentName,
    described,
)

PAGE = (paths.ROOT / "docs" / "matrix.md").read_text()
HERE = Path("unused")
BUN, NODE, DENO = Bun("1.2.19", HERE), Node("24.19.0", HERE, HERE), Deno("2.9.8", HERE)


def rows(head: str) -> list[tuple[str, str]]:
    """Return the rows of a two-column table on the page about the matrix."""
    text = PAGE.partition(f"| {head} |\n| --- | --- |\n")[2].partition("\n\n")[0]
    return re.findall(r"^\| (.*?) \| (.*) \|$", text, re.MULTILINE)


def test_treatments_page_agrees_with_the_table() -> None:
    assert rows("treatment | what is done") == described()


def test_stresses_page_agrees_with_the_scenario() -> None:
    shown = rows("stress | asks")
    questions = {f"`{name}`": stress.asks for name, stress in read_scenario().stress.items()}
    assert [name for name, _ in shown] == list(questions)
    for name, text in shown:
        assert text.removeprefix(questions[name])[:2] in {"", " ("}, name


def test_preload_words_are_those_of_the_library() -> None:
    source = (paths.ROOT / "native" / "preload" / "preload.c").read_text()
    assert set(re.findall(r'^    \{"([a-z0-9-]+)", [A-Z0-9_| ]+\},$', source, re.MULTILINE)) == {
        *PRELOAD_WORDS
    }


def test_treatment_name_outside_the_table_is_rejected() -> None:
    assert msgspec.convert("guard", TreatmentName) == "guard"
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'gaurd'"):
        msgspec.convert("gaurd", TreatmentName)


@pytest.mark.parametrize(
    ("name", "added"),
    [
        ("stock", {}),
        ("warmup", {GUARD_SWITCH: "1"}),
        ("warmup-plain", {GUARD_SWITCH: "0"}),
        ("guard", {}),
        ("package", {GUARD_SWITCH: ""}),
        ("built-in", {GUARD_SWITCH: "1"}),
        ("embedded", {GUARD_SWITCH: "1"}),
    ],
)
@pytest.mark.parametrize("runtime", [BUN, NODE, DENO], ids=lambda each: each.name)
def test_treatment_for_all_runtimes_adds_its_environment(
    runtime: Bun | Node | Deno, name: str, added: dict[str, str]
) -> None:
    assert treated_environment(runtime, name) == added


def test_treatment_by_setting_needs_a_supporting_release(tmp_path: Path) -> None:
    knows, does_not = tmp_path / "knows", tmp_path / "does-not"
    knows.write_bytes(b"\0JSC_SIGNAL_FOR_GC\0")
    does_not.write_bytes(b"\0")
    added = treated_environment(Bun("1.2.19", knows), "gc-signal:21")
    assert added == {"JSC_SIGNAL_FOR_GC": "21"}
    with pytest.raises(LacksError, match="release of Bun does not know JSC_SIGNAL_FOR_GC"):
        treated_environment(Bun("1.0.0", does_not), "gc-signal:21")
    with pytest.raises(LacksError, match="a setting of JavaScriptCore, and this is V8"):
        treated_environment(NODE, "gc-signal:21")


@pytest.mark.parametrize("name", ["patched", "self-built"])
@pytest.mark.parametrize("runtime", [BUN, NODE, DENO], ids=lambda each: each.name)
def test_treatment_of_own_builds_is_rejected_for_releases(
    runtime: Bun | Node | Deno, name: str
) -> None:
    with pytest.raises(LacksError, match=f"the stock executable is not {name}"):
        treated_environment(runtime, name)


@pytest.mark.parametrize("name", TREATMENTS)
def test_cell_argument_names_the_library_that_is_called(name: str) -> None:
    variants = {
        (variant, "simple"): Fixture("simple", Path(variant), Path(variant))
        for variant in ("built-in", "embedded", "unconverted")
    }
    context = matrix.RunContext(
        supervise=HERE,
        warmup=Path("the-warmup"),
        guard=Path("the-guard"),
        package=Path("the-package"),
        probe=HERE,
        modules={"simple": Fixture("simple", Path("itself"), Path("itself"))},
        target=TARGETS["linux-x64-musl"],
        out=HERE,
        limit_s=1,
        runtimes={("bun", "1.2.19"): BUN},
        variants=variants,
    )
    argument = matrix.cell_argument(context, Cell("bun", "1.2.19", name, "simple", "ffi", "idle"))
    arguments = {
        key: argument[key] for key in ("warmup", "guard", "guarded", "package") if key in argument
    }
    expected = {
        "warmup": {"warmup": "the-warmup"},
        "warmup-plain": {"warmup": "the-warmup"},
        "guard": {"guard": "the-guard", "guarded": "before"},
        "guard-after": {"guard": "the-guard", "guarded": "after"},
        "package": {"package": "the-package"},
    }
    assert arguments == expected.get(name, {})
    assert argument["library"] == (TREATMENTS[name].variant or "itself")
