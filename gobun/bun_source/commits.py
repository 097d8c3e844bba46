"""Records which commit each release of Bun was built from, as its own binary reports it.

``commits.toml`` only grows: `invoke bun-commits` adds the commits that released binaries report. If
a binary and the table disagree, the command fails and changes nothing.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import msgspec
import semver
import tomlkit

from gobun import files
from gobun.errors import FetchError, UsageError
from gobun.process import run_tool
from gobun.runtimes.registered import QUIET_ENV, ask_revision
from gobun.scratch import scratch_folder
from gobun.toml_config import read_toml

TABLE = Path(__file__).parent / "commits.toml"
_FULL_HASH = re.compile(r"[0-9a-f]{40}")
_PRINTED_HASH = re.compile(r"\+([0-9a-f]{7,40})\s*$")


class BunCommit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The source of a release of Bun."""

    commit: str
    tree: str | None = None
    """The id of its tree, which identifies an archive without history. None if not known yet."""


class _CommitsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    release: dict[str, BunCommit]


@functools.cache
def read_commits(path: Path = TABLE) -> dict[str, BunCommit]:
    """Return the recorded commits by version.

    Raises:
        UsageError: the table is malformed.
    """
    releases = read_toml(path, _CommitsFile).release
    for version, release in releases.items():
        for name in (release.commit, *([release.tree] if release.tree else [])):
            if not semver.Version.is_valid(version) or not _FULL_HASH.fullmatch(name):
                raise UsageError(
                    f"{path}: {version} = {name!r} is not a release with a full commit id",
                    hint="write VERSION and all 40 digits, or remove the row",
                )
    return releases


def commit_of_release(version: str, path: Path = TABLE) -> BunCommit:
    """Return the commit and tree of ``version``.

    Raises:
        UsageError: the version is not in the table.
    """
    commits = read_commits(path)
    if version not in commits:
        error = UsageError.unknown("release of Bun from source", version, reversed(commits))
        raise UsageError(
            error.what,
            hint=f"{error.hint}; `invoke bun-commits --versions {version}` adds a release",
        )
    return commits[version]


def shown_revision(program: Path) -> str:
    """Return the abbreviated commit that ``bun --revision`` prints.

    Raises:
        FetchError: it prints no commit.
        PrerequisiteError: it cannot be run here.
    """
    completed = ask_revision(program)
    match = _PRINTED_HASH.search(completed.out)
    if match is None:
        raise FetchError(
            f"{program} --revision names no commit:\n{completed.tail}",
            hint="check that it is a Bun executable",
        )
    return match[1]


def full_revision(program: Path) -> str | None:
    """Return the full commit id in a Bun binary, or None if the release is too old to have it."""
    with scratch_folder("revision") as folder:
        script = Path(folder) / "revision.js"
        script.write_text("console.log(Bun.revision)\n")
        completed = run_tool([program, script], cwd=Path(folder), env=QUIET_ENV, timeout_s=60)
    output = completed.out.strip()
    return output if _FULL_HASH.fullmatch(output) else None


def record_new_commits(programs: dict[str, Path], path: Path = TABLE) -> list[str]:
    """Add the commits that released binaries report to the table, and return the new versions.

    ``programs`` has the executable of each version.

    Raises:
        FetchError: a binary reports no commit, or a different one than the table.
        PrerequisiteError: the table cannot be written.
    """
    document = tomlkit.parse(path.read_text())
    table = document["release"]
    commits = read_commits(path)
    new = []
    for version in sorted(programs, key=semver.Version.parse):
        program = programs[version]
        printed_hash = shown_revision(program)
        revision = full_revision(program) or commits.get(version, BunCommit(printed_hash)).commit
        if not revision.startswith(printed_hash) or not _FULL_HASH.fullmatch(revision):
            raise FetchError(
                f"Bun {version} prints {printed_hash} and {revision}, which is not one full commit",
                hint="report this release: its executable does not name its commit",
            )
        if version not in commits:
            table[version] = tomlkit.parse(f'new = {{ commit = "{revision}" }}')["new"]
            new.append(version)
        elif commits[version].commit != revision:
            raise FetchError(
                f"Bun {version} is built from {revision}, and {path.name} has"
                f" {commits[version].commit}",
                hint="find out which of the two is wrong; nothing was changed",
            )
    if new:
        order = sorted(table, key=semver.Version.parse)
        entries = {version: table[version] for version in order}
        for version in order:
            del table[version]
        for version in order:
            table[version] = entries[version]
        files.write_whole(path, tomlkit.dumps(document))
        read_commits.cache_clear()
    return new
