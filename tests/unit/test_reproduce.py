"""Commands that repeat a cell, also a cell of another machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sample_results import result_of

from gobun import matrix, reproduce
from gobun.cells import Cell
from gobun.cells.records import Host
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

CELL = Cell("bun", "1.2.19", "stock", "simple", "ffi", "idle")
FLAGS = "--runtime bun --versions 1.2.19"


def commands_of(folder: Path, system: str, arch: str, repro: str) -> list[str]:
    host = Host(system, "6.1", "a processor", 2, "glibc 2.36", arch)
    with matrix.Writer(folder / matrix.FILE_NAME, matrix.new_header([CELL])) as writer:
        writer.add(result_of(CELL, "hang", host=host, repro=repro))
    return list(reproduce.commands(folder))


@pytest.mark.parametrize(
    ("repro", "command"),
    [
        (f"invoke matrix {FLAGS}", f"invoke vm --arch {{arch}} {FLAGS}"),
        (
            f"invoke vm --arch arm64 --release trixie {FLAGS}",
            f"invoke vm --arch arm64 --release trixie {FLAGS}",
        ),
    ],
)
def test_commands_cell_of_another_processor_runs_in_a_guest(
    tmp_path: Path, repro: str, command: str
) -> None:
    here = host_target()
    arch = "arm64" if here.arch == "x64" else "x64"
    comment, line = commands_of(tmp_path, "linux", arch, repro)

    assert comment == (
        f"# {CELL.name}: hang: ran on linux 6.1, {arch}, and this machine is {here.name}"
    )
    assert line == command.format(arch=arch)


def test_commands_cell_of_another_system_names_its_platform(tmp_path: Path) -> None:
    [_, line] = commands_of(tmp_path, "darwin", "arm64", f"invoke matrix {FLAGS}")
    assert line == f"# run this on darwin-arm64: invoke matrix {FLAGS}"
