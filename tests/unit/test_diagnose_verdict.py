"""Verdicts and remedies from handmade facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from gobun import diagnose
from gobun.diagnose import activity, remedies
from gobun.diagnose.records import Activity, GoLibrary, Movement, NativeWait, RuntimeSeen, Storm
from gobun.diagnose.runtime import libc_of
from gobun.diagnose.verdict import Facts, judge
from gobun.errors import UsageError
from gobun.matrix.samples import Sample, senders_in
from gobun.observe import Blocked, Handler, Mapping, Snapshot, Stack, Thread, ThreadView

if TYPE_CHECKING:
    from pathlib import Path

    from gobun.observe import Wakes

PID = 700
MAIN_THREAD = Thread(
    tid=PID, name="bun", state="S", cpu_ticks=5, switches=40, waits_in="futex", pending=0, blocked=0
)
COLLECTOR = msgspec.structs.replace(MAIN_THREAD, tid=701, name="Collector")
GO = (GoLibrary("/app/simple.so", "go1.27.3", "go1.27.3 c-shared, module gobun"),)
STORM = Storm(30, PID, "bun", is_main=True, share=0.3, switches_a_second=200_000, sender="C (701)")


def snapshot(*, on_stack: bool = True, alternate: bool = True, guarded: bool = False) -> Snapshot:
    handler = Handler(
        30,
        ignored=False,
        on_stack=on_stack,
        flags=0,
        address=1,
        owner="/app/go-guard-linux-x64.so" if guarded else "/bun",
        blocks=0,
        guarded=guarded,
    )
    stack = Stack(4096, 512 * 1024) if alternate else None
    return Snapshot(
        PID, (ThreadView(MAIN_THREAD, "futex", asked=True, alternate=stack),), (handler,)
    )


def taken_snapshot(*, ignored: bool = False, owner: str = "/app/simple.so") -> Snapshot:
    handler = Handler(
        30,
        ignored=ignored,
        on_stack=not ignored,
        flags=0x18000004,
        address=1,
        owner="" if ignored else owner,
        blocks=0,
    )
    return Snapshot(PID, (ThreadView(MAIN_THREAD, "futex", asked=True),), (handler,))


def facts(
    kind: Movement = "works",
    *,
    version: str = "1.2.19",
    name: str = "bun",
    libraries: tuple[GoLibrary, ...] = GO,
    inspected: Snapshot | None = None,
    libc: str = "glibc",
) -> Facts:
    return Facts(
        pid=PID,
        runtime=RuntimeSeen(name, version, "/bun", libc=libc),
        libraries=libraries,
        motion=Activity(kind, "seen", 1.5, STORM if kind == "storm" else None),
        snapshot=inspected or snapshot(),
        suspend_signal=30 if name == "bun" else None,
    )


def test_verdict_go_storm_names_library_signal_and_remedy() -> None:
    diagnosis = judge(facts("storm"))
    assert (diagnosis.kind, diagnosis.is_stuck, diagnosis.armed) == ("storm", True, True)
    for word in ("simple.so (go1.27.3)", "SA_ONSTACK", "SIGPWR", "512 KiB", "C (701)"):
        assert word in diagnosis.cause
    assert "1.2.20" in diagnosis.help[0].do
    assert "signal guard" in diagnosis.help[1].do
    assert "JSC_SIGNAL_FOR_GC=21" in diagnosis.help[2].do


def test_verdict_guarded_handler_makes_no_storm() -> None:
    works = judge(facts(inspected=snapshot(guarded=True)))
    assert (works.kind, works.armed, works.help) == ("healthy", False, ())
    assert "The signal guard (go-guard-linux-x64.so) runs its handler" in works.cause
    storm = judge(facts("storm", inspected=snapshot(guarded=True)))
    assert storm.kind == "other-storm"
    assert "the signal guard (go-guard-linux-x64.so) runs the handler" in storm.cause


def test_diagnosis_of_musl_process_names_libc_and_its_builds() -> None:
    for kind in ("storm", "works"):
        text = diagnose.render(judge(facts(kind, libc="musl")))
        assert "runtime: bun@1.2.19 for musl (/bun)" in text
        joined_text = " ".join(text.split())
        assert "go-guard-linux-x64-musl.so" in joined_text
        assert "invoke convert-musl" in joined_text
    assert "musl" not in diagnose.render(judge(facts("storm")))


@pytest.mark.parametrize(
    ("path", "libc"),
    [
        ("/lib/ld-musl-x86_64.so.1", "musl"),
        ("/cache/musl/lib/ld-musl-aarch64.so.1", "musl"),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "glibc"),
        ("/lib64/libc-2.31.so", "glibc"),
        ("/app/not-ld-musl-x86_64.so.1", ""),
        ("/app/libc.so.6.bak", ""),
        ("[stack]", ""),
    ],
)
def test_libc_of_process_comes_from_mapped_file(path: str, libc: str) -> None:
    assert libc_of([Mapping(0, 4096, "r-xp", path)]) == libc


@pytest.mark.parametrize("version", ["1.2.2", "1.2.19", "1.3.14", "1.4.3"])
def test_verdict_guard_is_advised_for_affected_releases(version: str) -> None:
    kinds: tuple[Movement, ...] = ("storm", "works")
    for kind in kinds:
        diagnosis = judge(facts(kind, version=version))
        assert any("signal guard" in entry.do for entry in diagnosis.help)


def test_verdict_variable_is_not_advised_where_ignored() -> None:
    assert not any(
        "start Bun with" in entry.do for entry in judge(facts("storm", version="1.2.2")).help
    )


@pytest.mark.parametrize(
    "other",
    [
        facts("storm", libraries=()),
        facts("storm", inspected=snapshot(on_stack=False)),
        facts("storm", inspected=snapshot(alternate=False)),
    ],
)
def test_verdict_storm_without_go_signs_is_another_kind(other: Facts) -> None:
    assert judge(other).kind == "other-storm"


def test_verdict_without_inspection_uses_the_rest() -> None:
    diagnosis = judge(facts("storm", inspected=Snapshot(PID, (), (), "it may not be traced")))
    assert diagnosis.kind == "storm"
    assert "it may not be traced" in diagnosis.notes[0]


def test_verdict_live_process_with_go_is_armed_or_fixed() -> None:
    old, new = judge(facts(version="1.4.3")), judge(facts(version="1.4.4"))
    assert (old.kind, new.kind) == ("healthy", "healthy")
    assert "does not cope" in old.cause
    assert "copes with that" in new.cause
    assert old.help
    assert new.help == ()
    assert judge(facts(inspected=snapshot(on_stack=False))).armed is False


@pytest.mark.parametrize("version", ["1.2.19", "1.4.5"])
def test_verdict_taken_signal_names_library_and_remedy(version: str) -> None:
    diagnosis = judge(facts("deadlock", version=version, inspected=taken_snapshot()))
    assert (diagnosis.kind, diagnosis.is_stuck) == ("taken", True)
    assert diagnosis.taken is not None
    assert (diagnosis.taken.signal, diagnosis.taken.how) == (30, "handled")
    assert diagnosis.taken.libraries == ("/app/simple.so",)
    assert "simple.so (Go) has put its own handler on SIGPWR" in diagnosis.cause
    assert "signal.Notify" in diagnosis.help[0].do
    assert "signal guard before the library" in diagnosis.help[1].do
    page = diagnose.render(diagnosis)
    assert "copes" not in page
    assert "has not changed its handler" not in page


def test_verdict_ignored_signal_is_shown_as_ignored() -> None:
    diagnosis = judge(facts("deadlock", version="1.4.5", inspected=taken_snapshot(ignored=True)))
    assert diagnosis.kind == "taken"
    assert "simple.so (Go) ignores SIGPWR" in diagnosis.cause
    assert "SIGPWR: ignored; JavaScriptCore's suspend signal" in diagnose.render(diagnosis)


@pytest.mark.parametrize("ignored", [False, True])
def test_verdict_live_process_with_taken_signal_is_warned(ignored: bool) -> None:
    diagnosis = judge(facts(version="1.4.5", inspected=taken_snapshot(ignored=ignored)))
    assert (diagnosis.kind, diagnosis.is_stuck, diagnosis.worth_telling) == ("healthy", False, True)
    assert "it works, but the next suspension will hang it" in diagnose.render(diagnosis)
    assert "on every release" in diagnosis.cause
    assert diagnosis.help


def test_verdict_signal_taken_by_other_library_is_not_gos() -> None:
    diagnosis = judge(facts("deadlock", inspected=taken_snapshot(owner="/app/other.so")))
    assert diagnosis.kind == "taken"
    assert "other.so has put" in diagnosis.cause
    assert "Go, signal" not in diagnosis.cause


@pytest.mark.parametrize("owner", ["/bun", ""])
def test_verdict_handler_of_runtime_is_not_taken(owner: str) -> None:
    assert judge(facts("deadlock", inspected=taken_snapshot(owner=owner))).kind == "deadlock"


def native_wait(*, in_runtime: bool = False, wakes: Wakes = "itself") -> NativeWait:
    return NativeWait(
        library="/bun" if in_runtime else "/app/slow.so",
        function="" if in_runtime else "Wait",
        call="futex" if wakes == "thread" else "clock_nanosleep",
        why="a lock" if wakes == "thread" else "it sleeps",
        seconds=7.5,
        can_return="unknown" if wakes == "thread" else "yes",
        wakes=wakes,
        in_runtime=in_runtime,
    )


def waiting_facts(wait: NativeWait, inspected: Snapshot | None = None) -> Facts:
    base = facts("waits", version="1.4.5", inspected=inspected)
    moved = msgspec.structs.replace(base.motion, wait=wait)
    return msgspec.structs.replace(base, motion=moved)


def test_verdict_wait_names_library_function_call_and_seconds() -> None:
    diagnosis = judge(waiting_facts(native_wait()))
    assert (diagnosis.kind, diagnosis.is_stuck, diagnosis.worth_telling) == ("waits", False, True)
    for word in ("slow.so", "function Wait", "system call clock_nanosleep", "for 7.5 s"):
        assert word in diagnosis.cause
    assert "deadlock" not in diagnosis.cause
    assert "it waits in a native call" in diagnose.render(diagnosis)
    assert "it waits in a call of the runtime" in diagnose.render(
        judge(waiting_facts(native_wait(in_runtime=True)))
    )


def test_verdict_wait_in_runtime_blames_the_taken_signal() -> None:
    locked = native_wait(in_runtime=True, wakes="thread")
    assert judge(waiting_facts(locked, taken_snapshot())).kind == "taken"
    assert judge(waiting_facts(locked)).kind == "waits"
    assert judge(waiting_facts(native_wait(in_runtime=True), taken_snapshot())).kind == "waits"
    assert judge(waiting_facts(native_wait(wakes="thread"), taken_snapshot())).kind == "waits"


def starving(version: str, *, signal: int = 30, inspected: Snapshot | None = None) -> Facts:
    base = facts("starved", version=version, inspected=inspected)
    suspect = msgspec.structs.replace(STORM, signal=signal, switches_a_second=2)
    moved = msgspec.structs.replace(base.motion, suspect=suspect, able=0.02)
    return msgspec.structs.replace(base, motion=moved)


def test_verdict_starved_endless_suspension_is_a_storm() -> None:
    diagnosis = judge(starving("1.2.19"))
    assert diagnosis.kind == "storm"
    assert "2 times a second on a machine that lets it run for 2% of the time" in diagnosis.cause


@pytest.mark.parametrize(
    "other",
    [
        starving("1.4.5"),
        starving("1.2.19", signal=12),
        starving("1.2.19", inspected=snapshot(on_stack=False)),
        starving("1.2.19", inspected=snapshot(alternate=False)),
        starving("1.2.19", inspected=snapshot(guarded=True)),
        starving("1.2.19", inspected=Snapshot(PID, (), (), "it may not be traced")),
    ],
)
def test_verdict_starved_finite_suspension_is_undecided(other: Facts) -> None:
    diagnosis = judge(other)
    assert (diagnosis.kind, diagnosis.is_stuck) == ("starved", False)
    assert "no verdict: the machine is too busy" in diagnose.render(diagnosis)
    assert "it works" not in diagnose.render(diagnosis)


def test_verdict_node_is_never_armed() -> None:
    diagnosis = judge(facts(name="node", version="24.19.0"))
    assert (diagnosis.kind, diagnosis.armed) == ("healthy", False)
    assert "does not suspend its threads with a signal" in diagnosis.cause


@pytest.mark.parametrize(
    ("kind", "verdict"), [("deadlock", "deadlock"), ("busy", "busy"), ("works", "no-go")]
)
def test_verdict_without_go_reports_it(kind: Movement, verdict: str) -> None:
    diagnosis = judge(facts(kind, libraries=()))
    assert diagnosis.kind == verdict
    assert "no Go" in diagnosis.cause


def test_verdict_two_go_runtimes_are_counted() -> None:
    assert "2 Go runtimes" in judge(facts(libraries=GO * 2)).cause


def test_verdict_text_and_record_agree() -> None:
    diagnosis = judge(facts("storm"))
    page = diagnose.render(diagnosis)
    assert page.startswith(f"process {PID}: it hangs: a signal storm, because of Go's SA_ONSTACK")
    assert "bun@1.2.19" in page
    assert msgspec.json.decode(msgspec.json.encode(diagnosis), type=diagnose.Diagnosis) == diagnosis


@pytest.mark.parametrize(
    ("version", "works", "copes"),
    [
        ("1.2.19", True, False),
        ("1.2.20-canary.62", True, False),  # as executables name themselves: before 1.2.20
        ("1.2.21-canary.16", False, False),
        ("1.4.4", False, True),
        ("1.4.4-canary.7", False, False),
        ("", False, False),
    ],
)
def test_remedies_depend_on_the_executables_version(version: str, works: bool, copes: bool) -> None:
    actions = [each.do for each in remedies.remedies_for("storm", "bun", version, armed=True)]
    assert any(do.startswith("Upgrade Bun: 1.2.20") for do in actions) is works
    assert remedies.is_fixed_in(version) is copes
    assert any("keep the Go library out" in do for do in actions)


def test_remedies_table_with_wrong_range_is_rejected(tmp_path: Path) -> None:
    table = tmp_path / "remedies.toml"
    row = '[[help]]\nkinds = ["storm"]\ndo = "x"\nversions = "1.2.x"\n'
    table.write_text(f'copes = ">=1.4.5"\n{row}')
    with pytest.raises(UsageError, match=r"row 1 of \[\[help\]\]: versions = '1.2.x'"):
        remedies.is_fixed_in("1.4.5", table=table)


def test_remedies_malformed_table_is_rejected(tmp_path: Path) -> None:
    table = tmp_path / "remedies.toml"
    table.write_text('copes = ">=1.4.5"\n[[help]]\nkinds = ["storm"]\ndo = "x"\nmore = 1\n')
    with pytest.raises(UsageError, match="more"):
        remedies.remedies_for("storm", "bun", "1.2.19", armed=True, table=table)


def samples(seconds: float, *, storming: dict[tuple[int, int], int], rate: int = 0,
            state: str = "S",
            queued_ns: int = 0) -> list[Sample]:  # fmt: skip
    main = msgspec.structs.replace(MAIN_THREAD, state=state)
    return [
        Sample(
            at=50 + i / 10,
            threads=(
                msgspec.structs.replace(main, switches=40 + i * rate // 10),
                msgspec.structs.replace(
                    COLLECTOR, switches=40 + i * rate // 10, queued_ns=i * queued_ns
                ),
            ),
            look_count=60,
            storming=storming,
        )
        for i in range(int(seconds * 10) + 1)
    ]


def test_activity_storm_needs_a_constantly_scheduled_thread() -> None:
    calm = samples(1.5, storming={(PID, 30): 20}, rate=50)
    wild = samples(1.5, storming={(PID, 30): 20}, rate=50_000)
    assert activity.judge_activity(calm, ["futex"] * len(calm)) is None
    activity_found = activity.judge_activity(wild, ["futex"] * len(wild), [701])
    assert activity_found is not None
    assert activity_found.storm is not None
    assert (activity_found.storm.signal, activity_found.storm.tid, activity_found.storm.sender) == (
        30,
        PID,
        "Collector (701)",
    )


def test_activity_storm_on_a_free_core_switches_rarely() -> None:
    def activity_alone(looks: int, ticks: int) -> Activity | None:
        series = [
            msgspec.structs.replace(
                sample,
                threads=(
                    msgspec.structs.replace(sample.threads[0], cpu_ticks=i * ticks),
                    COLLECTOR,
                ),
            )
            for i, sample in enumerate(
                msgspec.structs.replace(each, dense=frozenset({(PID, 30)}))
                for each in samples(1.5, storming={(PID, 30): looks}, rate=50)
            )
        ]
        return activity.judge_activity(series, ["running"] * len(series))

    activity_found = activity_alone(40, 9)
    assert activity_found is not None
    assert activity_found.kind == "storm"
    assert activity_alone(20, 9) is None, "found in its handler a third of the time"
    assert activity_alone(40, 2) is None, "kept from running, with a signal pending"


def test_activity_thread_blocking_everything_is_a_sender() -> None:
    [sample] = samples(0, storming={(701, n): 20 for n in range(1, 60)} | {(PID, 30): 20})
    assert senders_in(sample) == {701}
    assert sample.without_threads({701}).storming == {(PID, 30): 20}


def test_activity_waiting_for_events_is_idle_unlike_locks() -> None:
    still = samples(5, storming={})
    waits = activity.judge_activity(still, ["epoll_wait"] * len(still))
    wait = Blocked(PID, "bun", "S", "futex", wakes="thread", can_return="no", why="a lock")
    stuck = [msgspec.structs.replace(sample, waits=(wait,)) for sample in still]
    locked = activity.judge_activity(stuck, ["futex"] * len(still))
    assert waits is not None
    assert waits.kind == "works"
    assert locked is not None
    assert locked.kind == "deadlock"


def test_activity_busy_needs_usable_processor_time() -> None:
    activity_found = samples(26, storming={}, state="R", rate=100)
    quiet = activity.judge_activity(
        activity_found, ["running"] * len(activity_found), able_share=0.5
    )
    starved = activity.judge_activity(
        activity_found, ["running"] * len(activity_found), able_share=0.05
    )
    assert quiet is not None
    assert starved is not None
    assert (quiet.kind, starved.kind) == ("busy", "starved")


def test_activity_call_begun_in_between_is_a_wait() -> None:
    before, then = samples(0.3, storming={}, state="R", rate=90), samples(2, storming={})
    late = [msgspec.structs.replace(sample, at=sample.at + 0.4) for sample in then]
    activity_found = activity.judge_activity(
        [*before, *late], ["running"] * len(before) + ["recvfrom"] * len(late)
    )
    assert activity_found is not None
    assert activity_found.kind == "waits"


def test_activity_starved_storm_is_measured_in_able_time() -> None:
    rare = samples(4, storming={(PID, 30): 20}, rate=150, queued_ns=98_000_000)
    for able, expected in ((1.0, None), (0.02, "storm")):
        activity_found = activity.judge_activity(
            rare, ["futex"] * len(rare), [701], able_share=able
        )
        assert (activity_found and activity_found.kind) == expected


def test_activity_thread_that_never_waits_is_busy() -> None:
    activity_found = samples(4, storming={}, state="R", rate=100)
    judged = activity.judge_activity(activity_found, ["running"] * len(activity_found))
    assert judged is not None
    assert judged.kind == "busy"
