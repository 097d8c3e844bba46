"""The parser of sources, and the text of a report."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from gobun import bun_check, bun_source
from gobun.bun_check import CheckReport, CheckResult, codegen, parsing, zig
from gobun.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


class TestParsing:
    def test_functions_of_each_language_are_found(self) -> None:
        sources = {
            "a.zig": b"pub fn one() u32 {}\nconst S = struct { fn two() void {} };\n",
            "a.rs": b"pub fn one(x: u32) -> u32 { x }\nimpl S { fn two(&self) {} }\n",
            "a.cpp": b'extern "C" int one() { return 1; }\nvoid* S::two() {}\n',
        }
        for path, content in sources.items():
            parsed = parsing.parse(path, content)
            assert parsed.errors == ()
            assert parsed.functions == {"one", "two"}, path

    @pytest.mark.parametrize(
        ("path", "content"),
        [
            ("a.zig", b"fn one() void {\n    const = 1 +;\n}}\n"),
            ("a.rs", b"fn one() { let x = ; }\n"),
            ("a.cpp", b"int one() { return (1; }\n"),
        ],
    )
    def test_functions_in_other_text_are_ignored(self, path: str, content: bytes) -> None:
        assert parsing.parse(path, content).errors

    def test_errors_present_before_are_not_counted(self) -> None:
        before = parsing.parse("a.cpp", b"int one() { return (1; }\n")
        moved = parsing.parse("a.cpp", b"\n\nint one() { return (1; }\n")
        worse = parsing.parse("a.cpp", b"int one() { return (1; }\nint two() { int = 2; }\n")
        assert not parsing.new_errors(before, moved)
        assert parsing.new_errors(before, worse)
        assert parsing.new_errors(None, before)

    def test_file_lists_are_not_parsed_as_code(self) -> None:
        assert parsing.is_known("src/main.zig")
        assert not parsing.is_known("cmake/sources/CxxSources.txt")


def test_zig_wheel_exists_for_each_patched_line() -> None:
    assert zig.wheel_for("1.2.19").startswith("0.14.")
    assert zig.wheel_for("1.3.14").startswith("0.15.")
    series = bun_source.series_named("v1.0.4")
    assert zig.wheel_for(series.version, series.zig) == "0.11.0"
    with pytest.raises(UsageError, match=r"no known Zig for Bun 1\.4\.5"):
        zig.wheel_for("1.4.5")


@pytest.mark.parametrize(
    "known_by",
    ["cmake/sources/ZigGeneratedClassesSources.txt", "scripts/build/zig.ts", "src/build-id"],
)
def test_layout_is_recognised_by_a_file(tmp_path: Path, known_by: str) -> None:
    assert codegen.layout_of(tmp_path) is None
    (tmp_path / known_by).parent.mkdir(parents=True)
    (tmp_path / known_by).touch()
    layout = codegen.layout_of(tmp_path)
    assert layout is not None
    assert "." in layout.packages


def test_packages_outside_registries_are_not_installed(tmp_path: Path) -> None:
    package = {
        "name": "small",
        "dependencies": {"a": "^1.2.3", "b": "github:some/one#0123", "c": "latest"},
        "devDependencies": {"d": "workspace:*", "e": "git+ssh://host/e", "f": "npm:@g/f@2"},
        "scripts": {"build": "true"},
    }
    path = tmp_path / "package.json"
    path.write_text(json.dumps(package))
    assert codegen.left_out_files(tmp_path) == ["b", "e"]
    left = json.loads(path.read_text())
    assert left["dependencies"] == {"a": "^1.2.3", "c": "latest"}
    assert left["devDependencies"] == {"d": "workspace:*", "f": "npm:@g/f@2"}
    assert left["scripts"] == package["scripts"]
    before = path.read_text()
    assert codegen.left_out_files(tmp_path) == []
    assert path.read_text() == before, "a file that needs no change stays as it is"


def test_functions_added_by_a_patch_are_required() -> None:
    """`check-bun` looks in the tree for functions that a patch only changes inside."""
    for line in bun_source.lines():
        series = bun_source.series_named(line)
        for patch in series.patches:
            content = series.content(patch).decode()
            added = "\n".join(text for text in content.splitlines() if text.startswith("+"))
            new = set(re.findall(r"(?:pub fn|^\+fn|extern \"C\" \w+) (\w+)\(", added, re.MULTILINE))
            assert new <= set(patch.functions), (line, patch.id)


def test_check_report_lists_faults_and_open_points() -> None:
    findings = (
        CheckResult("one", "parses", "a.zig", "proven"),
        CheckResult("one", "zig fmt", "a.zig", "wrong", "is not formatted"),
        CheckResult("all", "semantic analysis", "all of it", "not checked", "no layout"),
    )
    report = CheckReport("0123", "1.2.19", ("one",), findings)
    text = bun_check.render(report)
    assert report.failures == findings[1:2]
    assert "one: 1 of 2 proven" in text
    assert "wrong: zig fmt, a.zig\n    is not formatted" in text
    assert "not checked: semantic analysis" in text
