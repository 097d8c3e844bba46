"""The registry of Buns that were built from sources: patched, or self-built.

Each has a folder in the cache with the executable and ``record.json``. The folder's name contains
the version and the identity of the source tree. Cells name a Bun with the whole series
``1.2.19+patched``. One with a part of the series is ``1.2.19+patched.<identity>``, so that several
can run side by side. The control of the experiment, built without a patch, is
``1.2.19+self-built``.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import msgspec
import semver

from gobun import cache, files, paths
from gobun.decoding import decoder_of
from gobun.errors import PrerequisiteError, UsageError
from gobun.process import run_tool
from gobun.treatments import PATCHED, SELF_BUILT, BuildKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.process import Finished

KIND = "patched"

QUIET_ENV = {
    "BUN_DEBUG_QUIET_LOGS": "1",  # stops the logging of a debug build
    "BUN_ENABLE_CRASH_REPORTING": "0",
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
}
"""Variables that keep a queried Bun from printing anything else."""


class RegisteredBun(msgspec.Struct, frozen=True):
    """A Bun that was built from sources, with those sources and its build."""

    version: str
    """The release that the patches apply to."""
    line: str
    """The name of the series."""
    identity: str
    """Hash of the upstream commit and the contents of the patches."""
    commit: str
    """The upstream commit."""
    patches: tuple[str, ...]
    whole: bool
    """Whether these are all patches of the series."""
    target: str
    head: str = ""
    """The commit with the patches, if it was built here."""
    sha256: str = ""
    """Digest of the executable."""
    revision: str = ""
    """The output of ``--revision``."""
    registered: str = ""
    """The time of registration in UTC, such as ``2026-11-27T09:30:00Z``."""
    log: str = ""
    """The path of the build log, if it was built here."""
    seconds: int = 0
    """The duration of the build in seconds, if it was built here."""
    treatment: BuildKind = PATCHED
    profile: str = ""
    """The build profile, if it was built here."""
    warmup_variable: str = ""
    """The environment variable for the path of the warm-up library, if a patch reads it."""

    @property
    def is_debug(self) -> bool:
        """Whether it is a debug build. The first use of ``bun:ffi`` ends a debug build of 1.0.4."""
        return "-debug" in self.revision

    @property
    def label(self) -> str:
        """The version as in the name of a cell, such as ``1.2.19+patched``."""
        rest = "" if self.whole else f".{self.identity[:8]}"
        return f"{self.version}+{self.treatment}{rest}"

    @property
    def folder(self) -> Path:
        """The folder that holds it."""
        control = f"-{SELF_BUILT}" if self.treatment == SELF_BUILT else ""
        return paths.cache_root() / KIND / f"{self.version}-{self.identity}{control}"

    @property
    def program(self) -> Path:
        """The executable."""
        return self.folder / "bun"


_EXECUTABLE_HINT = "give a Bun executable for this machine"
_BUILD_HINT = (
    "`invoke build-bun` builds one, and `invoke register-bun` adds one that was built elsewhere"
)


def ask_revision(program: Path) -> Finished:
    """Run a Bun with ``--revision``, which prints for example ``1.2.19+aad3abead``.

    Raises:
        PrerequisiteError: the program cannot be run here, or takes more than 60 seconds.
    """
    return run_tool([program, "--revision"], env=QUIET_ENV, timeout_s=60)


def revision_of(program: Path) -> str:
    """Return the output of ``--revision``, such as ``1.2.19+aad3abead``.

    Raises:
        UsageError: the program prints no version, or cannot be run here.
    """
    try:
        completed = ask_revision(program)
    except PrerequisiteError as error:
        raise UsageError(error.what, hint=_EXECUTABLE_HINT) from error
    output = completed.out.strip()
    if completed.code != 0 or not output or not output[0].isdigit():
        reason = completed.tail or f"exit code {completed.code}"
        raise UsageError(
            f"{program} --revision prints no version:\n{reason}", hint=_EXECUTABLE_HINT
        )
    return output


def register(program: Path, record: RegisteredBun, stock: Path) -> RegisteredBun:
    """Register a copy of ``program`` as a runtime, and return its record.

    Raises:
        UsageError: the program is missing, cannot be run, is the stock executable, or has another
            version than the record.
        PrerequisiteError: the cache cannot be written.
    """
    if not program.is_file():
        raise UsageError(f"there is no executable {program}", hint="give the path of a Bun")
    digest = files.sha256_of(program)
    if digest == files.sha256_of(stock):
        raise UsageError(
            f"{program} is the stock Bun {record.version}, byte for byte",
            hint="give the executable that was built from the patched sources",
        )
    revision = revision_of(program)
    if not _is_of(revision, record.version):
        raise UsageError(
            f"{program} reports {revision}, and the series {record.line} is for {record.version}",
            hint="build the checkout of that release, or choose another --series",
        )
    record = msgspec.structs.replace(
        record,
        sha256=digest,
        revision=revision,
        registered=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    folder = record.folder
    cache.pin(folder)
    with files.locked(folder), files.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        files.copy_whole(program, record.program)
        record.program.chmod(0o755)
        files.write_whole(folder / "record.json", files.readable_json(record))
    return record


def _is_of(revision: str, version: str) -> bool:
    """Return whether ``1.2.19-canary.1+abc`` or ``1.2.19+abc`` is a build of ``version``."""
    parsed = semver.Version.parse(revision) if semver.Version.is_valid(revision) else None
    return parsed is not None and str(parsed.finalize_version()) == version


def registered_buns() -> list[RegisteredBun]:
    """Return every registered Bun, sorted by version, the one with the whole series first."""
    buns = []
    for path in (paths.cache_root() / KIND).glob("*/record.json"):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            record = decoder_of(RegisteredBun).decode(path.read_bytes())
            if semver.Version.is_valid(record.version) and record.program.is_file():
                buns.append(record)
    # After a changed series is built again, the earlier whole build counts as a part.
    by_date = sorted(buns, key=lambda one: one.registered)
    newest = {_slot(one): one.identity for one in by_date if one.whole}
    buns = [
        msgspec.structs.replace(one, whole=newest.get(_slot(one)) == one.identity) for one in buns
    ]
    return sorted(
        buns, key=lambda one: (semver.Version.parse(one.version), not one.whole, one.identity)
    )


def _slot(record: RegisteredBun) -> tuple[str, str, BuildKind]:
    """Return the key that only one whole build can have: version, target and treatment."""
    return record.version, record.target, record.treatment


def own_treatment(version: str) -> BuildKind | None:
    """Return the treatment in a version such as ``1.2.19+patched``; None for a release."""
    _, _, build = version.partition("+")
    for treatment in (PATCHED, SELF_BUILT):
        if build.partition(".")[0] == treatment:
            return treatment
    return None


def version_with(version: str, treatment: str) -> str:
    """Return the version that cells with ``treatment`` use instead of ``version``.

    That is the release or its self-built control. A release has many patched builds, so
    ``patched`` changes nothing.
    """
    if treatment == PATCHED:
        return version
    release = version.partition("+")[0]
    return f"{release}+{treatment}" if treatment == SELF_BUILT else release


def registered_as(labels: Sequence[str]) -> list[RegisteredBun]:
    """Return the registered Buns with these labels, protected from eviction.

    Raises:
        UsageError: one of the labels belongs to no registered Bun.
    """
    by_label = {one.label: one for one in registered_buns()}
    for name in labels:
        if not by_label:
            raise UsageError(f"unknown patched Bun {name!r}: none is registered", hint=_BUILD_HINT)
        if name not in by_label:
            raise UsageError.unknown("patched Bun", name, by_label)
        cache.pin(by_label[name].folder)
    return [by_label[name] for name in labels]
