"""The outcome from events, exit and output. Stronger evidence takes precedence."""

from __future__ import annotations

import pytest

from gobun.matrix.classify import Event, ProcessEnd, classify, last_step


def end(exit_code: int | None = None, signal: int | None = None) -> ProcessEnd:
    return ProcessEnd(exit_code, signal, cpu_ms=1, max_rss_kb=1, stray_count=0)


DONE_EVENTS = (Event("start"), Event("called"), Event("beat"), Event("done"))


@pytest.mark.parametrize(
    "text",
    [
        "panic(main thread): Segmentation fault at address 0x10",
        "panic: runtime error: invalid memory address or nil pointer dereference",
        "oh no: Bun has crashed. This indicates a bug in Bun, not your code.",
        "fatal error: all goroutines are asleep - deadlock!",
        "unexpected fault address 0x0",
        "SIGSEGV: segmentation violation",
        "ASSERTION FAILED: m_stack",
        "# Fatal error in , line 0",
        "FATAL ERROR: Error::New napi_create_error",
    ],
)
def test_classify_crash_text_outranks_exit_code(text: str) -> None:
    ending = classify(end(2), DONE_EVENTS[:2], f"before\n{text}\nafter\n")
    assert ending.outcome == "crash"
    assert text in ending.detail


def test_classify_signal_is_a_crash_and_quotes_text() -> None:
    ending = classify(
        end(signal=4), DONE_EVENTS[:3], "panic(main thread): reached unreachable code\n"
    )
    assert ending.outcome == "crash"
    assert ending.detail == "SIGILL after 'called': panic(main thread): reached unreachable code"


def test_classify_panic_inside_a_line_is_no_crash() -> None:
    assert classify(end(0), DONE_EVENTS, "do not panic: it works\n").outcome == "pass"


def test_classify_printed_handled_panic_is_no_crash() -> None:
    assert classify(end(0), DONE_EVENTS, "panic: recovered\n").outcome == "pass"


def test_classify_report_of_cell_outranks_exit_code() -> None:
    assert classify(
        end(1), (*DONE_EVENTS[:1], Event("fail", "TypeError: x\n at y")), ""
    ).detail == ("TypeError: x")
    assert classify(end(0), (*DONE_EVENTS[:1], Event("skip", "no wasm")), "").outcome == "skip"


def test_classify_exit_code_after_done_is_a_failure() -> None:
    assert classify(end(3), DONE_EVENTS, "").outcome == "fail"


def test_classify_end_before_done_is_a_failure() -> None:
    assert classify(end(0), DONE_EVENTS[:2], "").outcome == "fail"
    assert classify(end(0), (), "").detail.startswith("ended by itself after 'nothing'")


def test_classify_heartbeat_is_not_the_last_step() -> None:
    assert last_step(DONE_EVENTS[:3]) == "called"
    assert last_step(()) == "nothing"
