"""The progress of a build, from its own counts and from the durations of earlier stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gobun.bun_source.build_progress import BuildProgress, CountedFiles
from gobun.bun_source.build_stages import Stage

if TYPE_CHECKING:
    from pathlib import Path

_COUNTED_FILES = CountedFiles(("src/*.cpp", "src/more/*.cpp"), "made/*.o")


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("gobun.bun_source.build_progress.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def progress(tmp_path: Path, *weights: int, counted: CountedFiles | None = None) -> BuildProgress:
    """Return the progress of stages with these weights. The last stage counts its files."""
    (tmp_path / "log").touch()
    stages = [Stage(f"stage{at}", ("true",), weight=weight) for at, weight in enumerate(weights)]
    stages[-1] = Stage("last", ("true",), weight=weights[-1], counted_files=counted)
    return BuildProgress(stages, tmp_path, tmp_path / "log")


def test_minutes_left_of_fresh_build_follow_weights(tmp_path: Path, clock: Clock) -> None:
    build = progress(tmp_path, 60, 540)
    build.begin(0)
    assert build.minutes_left(clock.now - 1000) == 10


def test_minutes_left_ignores_stages_of_earlier_run(tmp_path: Path, clock: Clock) -> None:
    build = progress(tmp_path, 6000, 600)
    build.begin(1)
    assert build.minutes_left(0.0) == 10


def test_minutes_left_follows_the_speed_of_this_run(tmp_path: Path, clock: Clock) -> None:
    build = progress(tmp_path, 540, 600)
    build.begin(0)
    clock.now += 5 * 540
    build.end()
    build.begin(1)
    assert build.minutes_left(0.0) == 46


@pytest.mark.parametrize(("files", "minutes"), [(1, 30), (3, 10), (4, 1)])
def test_minutes_left_of_counting_stage_follow_its_files(
    tmp_path: Path, clock: Clock, files: int, minutes: int
) -> None:
    build = progress(tmp_path, 60, 600, counted=_COUNTED_FILES)
    for name in ("src/a.cpp", "src/b.cpp", "src/more/c.cpp", "src/more/d.cpp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "made").mkdir()
    for number in range(files):
        (tmp_path / "made" / f"{number}.o").touch()
    build.begin(1)
    assert build.minutes_left(600.0 if files == 1 else 1800.0) == minutes


def test_minutes_left_after_cached_stage_follow_weights(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "log").touch()
    (tmp_path / "src").mkdir()
    (tmp_path / "made").mkdir()
    (tmp_path / "src" / "a.cpp").touch()
    (tmp_path / "made" / "a.o").touch()
    first = Stage("c++", ("true",), weight=2700, counted_files=_COUNTED_FILES)
    stages = [first, Stage("last", ("true",), weight=540)]
    build = BuildProgress(stages, tmp_path, tmp_path / "log")
    build.begin(0)
    clock.now += 6
    build.end()
    build.begin(1)
    assert build.minutes_left(0.0) == 10


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        ("building\nOutput: somewhere\n\n", "about 2 min left: Output: somewhere\n"),
        ("[1/9] a\n[3/9] b\n", "stage 1 of 2, stage0, about 2 min left: step 3 of 9"),
    ],
    ids=["last-line", "steps-of-ninja"],
)
def test_tell_shows_how_far_a_stage_is(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str], log: str, shown: str
) -> None:
    build = progress(tmp_path, 60, 60)
    build.begin(0)
    (tmp_path / "log").write_text(log)
    build.print_progress()
    assert shown in capsys.readouterr().err
