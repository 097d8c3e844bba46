"""The page, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gobun import matrix, report
from gobun.matrix.records import Header, Host

if TYPE_CHECKING:
    import pytest

HEADER = Header(
    suite="0.1.0",
    started="2026-01-02T03:04:05+00:00",
    host=Host(os="linux", kernel="6.1", cpu="a processor", cores=2, libc="glibc 2.36"),
    tools={"zig": "0.17.0", "go": "1.27.3"},
    plan="0123456789abcdef",
    cells=5,
)
PASSED = matrix.Result(
    runtime="bun",
    version="1.2.1",
    treatment="stock",
    module="control",
    load="ffi",
    stress="idle",
    outcome="pass",
    detail="",
    expected=("pass",),
    unexpected=False,
    wall_ms=10,
    cpu_ms=5,
    max_rss_kb=1000,
    exit_code=0,
    signal=None,
    attempts=1,
    evidence=(),
    repro="invoke matrix --versions 1.2.1",
)
HUNG = msgspec.structs.replace(
    PASSED,
    version="1.2.19",
    module="simple",
    outcome="hang",
    detail="livelock: SIGPWR",
    expected=("hang", "pass"),
    exit_code=None,
    evidence=("evidence/it/output.txt", "evidence/it/threads.txt"),
    repro="invoke matrix --versions 1.2.19",
)
SURPRISED = msgspec.structs.replace(
    PASSED, version="1.2.19", expected=("hang",), unexpected=True, stress="gc"
)

PAGE = """\
# Go native modules: how each runtime takes them

2026-01-02T03:04:05+00:00, linux 6.1, a processor (2 cores), glibc 2.36; go 1.27.3, zig 0.17.0; \
gobun 0.1.0.

4 cells: 2 pass, 2 hang, 1 not run; 1 unexpected.

| runtime | control<br>stock | simple<br>stock |
| --- | --- | --- |
| bun@1.2.1 | pass |  |
| bun@1.2.19 | pass | **hang 2/2** |

## What did not pass

### bun@1.2.19, stock, control: pass (unexpected)

- 1 cells: ffi/gc
- for one: passed, where something else was expected
- expected: hang
- again: `invoke matrix --versions 1.2.1`

### bun@1.2.19, stock, simple: hang

- 2 cells: ffi/idle, napi-sync/idle
- for one: livelock: SIGPWR
- expected: hang, pass
- again: `invoke matrix --versions 1.2.19`
- evidence: evidence/it/output.txt, evidence/it/threads.txt
"""


def page(*results: matrix.Result, cut: bool = False, cells: int = 5) -> str:
    header = msgspec.structs.replace(HEADER, cells=cells)
    return report.render_markdown(matrix.Run(header, results, cut=cut))


def test_the_page() -> None:
    again = msgspec.structs.replace(HUNG, load="napi-sync", detail="another")
    assert page(again, SURPRISED, PASSED, HUNG) == PAGE


def test_all_passed() -> None:
    text = page(PASSED, cells=1)
    assert "1 cells: 1 pass; 0 unexpected." in text
    assert "What did not pass" not in text
    assert text.endswith("| bun@1.2.1 | pass |\n")


def test_nothing_ran() -> None:
    assert "0 cells: none, 5 not run; 0 unexpected." in page()


def test_a_cut_file_is_said() -> None:
    assert "The last line of the results was cut off" in page(PASSED, cut=True)
    assert "cut off" not in page(PASSED)


def test_a_skip_is_no_failure() -> None:
    skipped = msgspec.structs.replace(PASSED, outcome="skip", detail="no ffi")
    assert "| bun@1.2.1 | skip 1/1 |" in page(skipped)


def test_a_detail_of_several_lines_stays_in_its_item() -> None:
    broken = msgspec.structs.replace(PASSED, outcome="error", detail="a\n  next: b\n# c")
    assert "- for one: a next: b # c\n" in page(broken)


def test_the_terminal_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    report.print_report(matrix.Run(HEADER, (PASSED, HUNG, SURPRISED)))
    said = capsys.readouterr().out
    assert "3 cells: 2 pass, 1 hang, 2 not run; 1 unexpected." in said
    assert "hang 1/1" in said
    assert "unexpected: bun@1.2.19/stock/control/ffi/gc: pass, expected hang" in said
    assert "bun@1.2.19/stock/simple" not in said
