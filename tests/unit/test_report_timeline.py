"""The first bad and first good versions, and the sequences that are reported together."""

from __future__ import annotations

import random

import pytest
from report_cells import cell, many_results, sequence

from gobun.report.timeline import Track, describe_members, loads_of, spans_of, timelines


def track_of(ends: str) -> Track:
    (timeline,) = timelines(sequence(ends))
    (only,) = timeline.tracks
    return only


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ("ppp", "no bad version"),
        ("hhh", "hang on every version"),
        ("phhp", "first bad 1.0.1 (hang), first good 1.0.3"),
        ("hhp", "hang on the oldest, 1.0.0, first good 1.0.2"),
        ("hph", "hang on the oldest, 1.0.0, first good 1.0.1, bad again 1.0.2 (hang)"),
        ("pph", "first bad 1.0.2 (hang)"),
        ("phcp", "first bad 1.0.1 (hang), crash from 1.0.2, first good 1.0.3"),
        (
            "phpcp",
            "first bad 1.0.1 (hang), first good 1.0.2, bad again 1.0.3 (crash), good again 1.0.4",
        ),
        ("p~p", "first bad 1.0.1 (~hang), first good 1.0.2"),
        ("php~ph", "comes and goes: first bad 1.0.1, last bad 1.0.5"),
        ("pseh", "first bad 1.0.3 (hang)"),
        ("hsep", "hang on the oldest, 1.0.0, first good 1.0.3"),
    ],
)
def test_timeline_shows_where_outcomes_change(ends: str, text: str) -> None:
    assert track_of(ends).text == text


def test_timeline_skips_and_errors_are_ignored() -> None:
    assert timelines(sequence("sse")) == ()


def test_timeline_versions_are_in_release_order() -> None:
    canary = "1.10.0-canary.20260218.1"
    results = [cell(v, "hang") for v in (canary, "1.10.0", "1.9.0", "1.10.0-canary.1")]
    (span,) = spans_of([*results, cell("1.2.0", "hang")])
    assert (span.first_version, span.last_version, span.versions) == ("1.2.0", canary, 5)


def test_timeline_equal_changes_share_a_track() -> None:
    results = [
        *sequence("phhp", module="crypto"),
        *sequence("phhp", module="simple", load="napi-sync"),
        *sequence("phhp", module="simple"),
        *sequence("phhp", module="crypto", load="napi-sync"),
        *sequence(" hhp", module="setup-full"),
        *sequence("pppp", module="control"),
        *sequence("~~pp", module="control", treatment="warmup"),
        *sequence("pppp", runtime="node"),
    ]
    (timeline,) = timelines(results)
    labels = [
        (t.runtime, t.text, describe_members(t.members, loads_of(timeline)))
        for t in timeline.tracks
    ]
    assert labels == [
        ("bun", "first bad 1.0.1 (hang), first good 1.0.3", "stock: simple, crypto"),
        ("bun", "~hang on the oldest, 1.0.0, first good 1.0.2", "warmup: control (ffi)"),
        ("bun", "hang on the oldest, 1.0.1, first good 1.0.3", "stock: setup-full (ffi)"),
        ("bun", "no bad version", "stock: control (ffi)"),
        ("node", "no bad version", "stock: simple (ffi)"),
    ]


def test_timeline_end_of_tested_range_is_no_change() -> None:
    (timeline,) = timelines([*sequence("pphp"), *sequence(" php  ", start=0, module="crypto")])
    (only,) = timeline.tracks
    assert [(span.first_version, span.last_version) for span in only.spans] == [
        ("1.0.0", "1.0.1"),
        ("1.0.2", "1.0.2"),
        ("1.0.3", "1.0.3"),
    ]


def test_timeline_recurring_changes_are_grouped() -> None:
    (timeline,) = timelines([*sequence("phphphp"), *sequence("pphphphh", module="crypto")])
    (only,) = timeline.tracks
    assert not only.is_settled
    assert only.text == "comes and goes: first bad 1.0.1, last bad 1.0.7"


def test_timeline_ignores_the_order_of_results() -> None:
    results = many_results(3000)
    shuffled = random.Random(1).sample(results, len(results))  # noqa: S311 - not a secret
    assert timelines(results) == timelines(shuffled)
    assert [timeline.stress for timeline in timelines(results)] == [
        "gc",
        "idle",
        "profile",
        "terminate",
        "wasm",
        "worker",
        "worker-load",
    ]
