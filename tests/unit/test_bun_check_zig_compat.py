"""The rewrite of the fork's Zig code for the stock Zig, and the translation of Zig's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gobun.bun_check import zig_compat

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_SOURCE = b"""const Counter = struct {
    #count: u32 = 0, // of #count
    #label: []const u8 = "a #label, \\"#quoted\\"",
    mark: u8 = '#',

    fn next(self: *Counter) u32 {
        self.#count += 1;
        return self.#count;
    }
};
const text =
    \\\\#define NOT_A_FIELD "
    \\\\.#nor_this
;
const made = Counter{ .#count = 2, .#label = "#" };
const odd = @"a #name with blanks";
const quote = '\\'';
const after = made.#count;
"""


def test_zig_compat_renames_only_private_fields() -> None:
    after = zig_compat.stock(PRIVATE_SOURCE).decode()
    assert after.count('@"#count"') == 5
    assert after.count('@"#label"') == 2
    assert "// of #count" in after
    assert '"a #label, \\"#quoted\\""' in after
    assert "'#'" in after
    assert '\\\\#define NOT_A_FIELD "' in after
    assert "\\\\.#nor_this" in after
    assert '@"a #name with blanks"' in after
    assert after.count("\n") == PRIVATE_SOURCE.decode().count("\n")
    assert (
        after.replace('@"#count"', "#count").replace('@"#label"', "#label").encode()
        == PRIVATE_SOURCE
    )


def test_zig_compat_rewriting_twice_changes_nothing() -> None:
    assert zig_compat.stock(zig_compat.stock(PRIVATE_SOURCE)) == zig_compat.stock(PRIVATE_SOURCE)


@pytest.mark.parametrize(
    "code", [b"", b"const a = 1;\n", b'const a = "# b";\r\n', b"// 'it's #1\n"]
)
def test_zig_compat_portable_code_stays_unchanged(code: bytes) -> None:
    assert zig_compat.stock(code) == code


def test_zig_compat_folders_are_rewritten_in_place(tmp_path: Path) -> None:
    (tmp_path / "src" / "deep").mkdir(parents=True)
    (tmp_path / "src" / "deep" / "a.zig").write_bytes(PRIVATE_SOURCE)
    (tmp_path / "src" / "b.zig").write_bytes(b"const a = 1;\n")
    (tmp_path / "src" / "c.ts").write_bytes(b"class A { #count = 1; }\n")
    (tmp_path / "src" / "lost.zig").symlink_to("nowhere.zig")
    assert zig_compat.rewrite([tmp_path / "src", tmp_path / "absent"]) == 1
    assert (tmp_path / "src" / "deep" / "a.zig").read_bytes() == zig_compat.stock(PRIVATE_SOURCE)
    assert b" #count" in (tmp_path / "src" / "c.ts").read_bytes()


@pytest.mark.parametrize(
    ("marker", "column"),
    [
        (b"self.@", 16),
        (b'@"#count"', 21),
        (b'#count"', 21),
        (b"+", 28),
        (b'@"#label"', 35),
        (b"unknown", 42),
        (b";", 49),
    ],
)
def test_zig_compat_errors_refer_to_the_original_file(marker: bytes, column: int) -> None:
    line = b"        return self.#count + self.#label.unknown;"
    now = zig_compat.stock(line)
    compiler_line = f"src/a.zig:8:{now.index(marker) + 1}: error: no field named '@\"#count\"'"

    def read(path: str, number: int) -> bytes:
        assert (path, number) == ("src/a.zig", 8)
        return now

    expected = f"src/a.zig:8:{column}: error: no field named '#count'"
    assert zig_compat.as_written(compiler_line, read) == expected


def test_zig_compat_messages_without_place_are_unchanged() -> None:
    message = "error: the following command failed with 2 compilation errors:"
    assert zig_compat.as_written(message, lambda *_: b"") == message
