"""Drives upstream's own build of a patched checkout."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import console
from gobun.bun_source.checkouts import tree_locked
from gobun.errors import BuildError, UsageError
from gobun.files import disk_errors
from gobun.process import path_before, run_logged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.bun_source.apply import Applied
    from gobun.bun_source.layout import BuildLayout
    from gobun.bun_source.preflight import OfflineSources

Profile = Literal["release", "debug"]
PROFILES: dict[str, str] = {"release": "build/release/bun", "debug": "build/debug/bun-debug"}
"""Where upstream puts the executable."""

_PASSED_ON = ("CARGO_HOME", "RUSTUP_HOME", "CCACHE_DIR", "CC", "CXX", "DEVELOPER_DIR", "SDKROOT")
_ERROR = re.compile(
    r"error(\[\w+\])?:|FAILED:|CMake Error|undefined (reference|symbol)|panic:|BuildError|"
    r"cannot find|No space left"
)
_NO_ERROR = re.compile(r"\b0 errors?\b|-Werror|warning:|--error-limit")
_SHOWN = 12
_WIDEST = 1000
"""A linker's command alone can be a megabyte."""
_TOLD_EVERY_S = 20.0
_STEP = re.compile(r"\[(\d+)/(\d+)\]")


class Built(msgspec.Struct, frozen=True):
    """What a build came to."""

    program: Path
    log: Path
    seconds: int


def build_words(
    layout: BuildLayout, profile: str, *, jobs: int, offline: OfflineSources, bun: Path
) -> tuple[list[str], dict[str, str]]:
    """Return the command that upstream documents, and what it finds in its environment.

    Raises:
        UsageError: the checkout has no such script, or no way of that kind to build offline.
    """
    script = f"build:{profile}"
    if profile not in PROFILES or script not in layout.scripts:
        known = [name for name in PROFILES if f"build:{name}" in layout.scripts]
        raise UsageError.unknown("profile", profile, known)
    words = [str(bun), "run", script, f"-j{jobs}"]
    env = path_before(bun.parent)
    env |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # A build of one's own calls itself a canary otherwise, and another version than it is of.
    if layout.era == "cmake":
        words.append("-DENABLE_CANARY=OFF")
        if offline.prefetch:
            raise UsageError(
                f"Bun {layout.version} is built by CMake, which has no prefetch folder",
                hint="give --webkit and --downloads",
            )
        words += [f"-DWEBKIT_PATH={offline.webkit}"] if offline.webkit else []
        words += [f"-DCACHE_PATH={offline.cache}"] if offline.cache else []
        return words, env
    words.append("--canary=off")
    if offline.webkit:
        words.append("--webkit=local")
        env["BUN_WEBKIT_PATH"] = str(offline.webkit)
    if offline.prefetch:
        env["BUN_BUILD_PREFETCH_DIR"] = str(offline.prefetch)
    words += [f"--cache-dir={offline.cache}"] if offline.cache else []
    return words, env


@contextlib.contextmanager
def build(
    applied: Applied, words: Sequence[str], env: dict[str, str], profile: str, log: Path
) -> Iterator[Built]:
    """Build a patched checkout; a build that was broken off goes on where it was.

    The checkout is held until the executable was made use of: another build overwrites it.

    Raises:
        UsageError: the checkout is no longer at the patches that were applied.
        BuildError: the build failed; shows the first real error, and where the log is.
        PrerequisiteError: the build cannot be started.
    """
    started = time.monotonic()
    with tree_locked(applied.version) as (head, descriptor):
        if head != applied.head:
            raise UsageError(
                f"{applied.folder} was changed since the patches were applied",
                hint="run one task on a checkout at a time",
            )
        with disk_errors(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.unlink(missing_ok=True)
            console.log(f"building in {applied.folder}, log {log}")
            code = run_logged(
                words,
                log,
                cwd=applied.folder,
                env=env,
                keep=(descriptor,),
                on_wait=console.throttled(_TOLD_EVERY_S, lambda: _tell(log)),
            )
        program = applied.folder / PROFILES[profile]
        if code != 0 or not program.is_file():
            ended = f"ended with {code}" if code else f"made no {PROFILES[profile]}"
            raise BuildError(
                f"the build of Bun {applied.version} {ended}:\n{first_error(log)}",
                hint=f"the log is {log}; what was built is kept, and the next run goes on from "
                "there",
            )
        yield Built(program, log, round(time.monotonic() - started))


def _tell(log: Path) -> None:
    """Say how far a build is: ninja counts its steps."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 4096))
        text = stream.read().decode(errors="replace")
    steps = _STEP.findall(text)
    last = f"step {steps[-1][0]} of {steps[-1][1]}" if steps else text.strip()[-80:]
    console.log(f"still building: {last}")


def first_error(log: Path) -> str:
    """Return the first line of a log that is an error, and what follows it."""
    lines = [line[:_WIDEST] for line in log.read_text(errors="replace").splitlines()]
    for at, line in enumerate(lines):
        if _ERROR.search(line) and not _NO_ERROR.search(line):
            return "\n".join(f"  {each}" for each in lines[at : at + _SHOWN])
    return "\n".join(f"  {each}" for each in lines[-_SHOWN:])
