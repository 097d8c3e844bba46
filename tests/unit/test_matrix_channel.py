"""The protocol channel: frames that become events, and input that never does."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from gobun.matrix.channel import Channel, Progress
from gobun.matrix.classify import Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


PIPE = 4096


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    with contextlib.closing(Channel(tmp_path)) as connection:
        yield connection


def key_of(channel: Channel) -> str:
    return (channel.folder / "key").read_text()


def write(channel: Channel, *texts: str | bytes) -> None:
    fd = os.open(channel.folder / "events", os.O_WRONLY)
    for text in texts:
        data = text if isinstance(text, bytes) else text.encode()
        for at in range(0, len(data), PIPE):
            os.write(fd, data[at : at + PIPE])
            while channel.read():
                pass
    os.close(fd)


def at(channel: Channel) -> list[str]:
    return [event.at for event in channel.progress.steps]


def test_channel_whole_and_split_frames_are_events(channel: Channel) -> None:
    key = key_of(channel)
    write(channel, f'\n@gobun {key} 0 1 {{"at":"start"}}\n\n@gobun {key} 0 2 {{"at"')
    write(channel, ':"called"}\n')
    assert at(channel) == ["start", "called"]
    assert channel.refused_frames == 0


@pytest.mark.parametrize(
    "line",
    [
        b'@gobun {"at":"done"}',
        b'@gobun 00000000000000000000000000000000 0 1 {"at":"done"}',
        b"@gobun KEY 0 1 {not json}",
        b'@gobun KEY 0 1 {"why":"no step"}',
        b'@gobun KEY 0 1 {"at":"\\ud800"}',
        b'@gobun KEY 0 0 {"at":"done"}',
        b"@gobun KEY 0 " + b"9" * 5000 + b' {"at":"done"}',
        b'@gobun KEY x 1 {"at":"done"}',
        b" @gobun KEY 0 1 {}",
        b"\xff\xfe\x00",
        b"x" * 100_000,
    ],
)
def test_channel_line_without_frame_is_rejected(channel: Channel, line: bytes) -> None:
    key = key_of(channel)
    write(channel, line.replace(b"KEY", key.encode()), f'\n@gobun {key} 0 1 {{"at":"start"}}\n')
    assert at(channel) == ["start"]
    assert channel.refused_frames >= 1


def test_channel_text_without_newline_spoils_no_frame(channel: Channel) -> None:
    write(channel, "tick tick", f'\n@gobun {key_of(channel)} 0 1 {{"at":"start"}}\n')
    assert at(channel) == ["start"]


def test_channel_bad_bytes_in_a_frame_are_replaced(channel: Channel) -> None:
    key = key_of(channel).encode()
    write(channel, b'\n@gobun %b 0 1 {"at":"fail","why":"\xff\xfe"}\n' % key)
    assert [event.why for event in channel.progress.steps] == ["��"]


def test_channel_repeated_frame_is_rejected(channel: Channel) -> None:
    frame = f'\n@gobun {key_of(channel)} 0 1 {{"at":"called"}}\n'
    write(channel, frame, frame)
    assert at(channel) == ["called"]
    assert channel.refused_frames == 1


def test_channel_threads_count_their_own_frames(channel: Channel) -> None:
    key = key_of(channel)
    frames = [f'\n@gobun {key} {line} 1 {{"at":"s{line}"}}\n' for line in ("0", "0.1", "0.1.1")]
    write(channel, *frames)
    assert at(channel) == ["s0", "s0.1", "s0.1.1"]


def test_channel_many_threads_do_not_silence_known_ones(channel: Channel) -> None:
    key = key_of(channel)
    for number in range(300):
        write(channel, f'\n@gobun {key} 0.{number} 1 {{"at":"worker"}}\n')
    write(channel, f'\n@gobun {key} 0.0 2 {{"at":"goes on"}}\n')
    assert at(channel)[-1] == "goes on"
    assert channel.refused_frames == 300 - 256


def test_progress_endless_events_keep_first_and_last() -> None:
    progress = Progress()
    for number in range(100_000):
        progress.add(Event(f"step-{number}"))
        progress.add(Event("beat"))
        progress.add(Event("turns", source=f"thread-{number}"))
    steps = progress.steps
    assert progress.count == 300_000
    assert (steps[0].at, steps[-1].at, len(steps)) == ("step-0", "step-99999", 400)


def test_progress_main_thread_does_not_hide_a_silent_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("gobun.matrix.channel.time.monotonic", lambda: float(next(clock)))
    progress = Progress()
    progress.add(Event("turns", source="worker"))
    progress.add(Event("beat"))
    assert progress.progressed_at == 1.0
    progress.add(Event("ends", source="worker"))
    assert progress.progressed_at == 2.0
