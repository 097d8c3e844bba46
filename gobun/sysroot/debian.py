"""Gets musl's loader from the Debian package `musl`, with apt and the machine's own sources.

apt works in a private state folder, so nothing is installed and nothing of the machine changes. It
checks the archive's signature with the machine's own keys.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from gobun import files
from gobun.errors import FetchError, PrerequisiteError
from gobun.process import run_tool

SUITE = "trixie"
"""The first Debian release whose musl, 1.2.5, runs current programs: bookworm's lacks RELR."""

_SOURCES = Path("/etc/apt")
_OTHERWISE = "give the path of a musl loader of 1.2.5 or newer: --loader PATH"
_ONE_LINE = re.compile(r"^deb (?P<options>\[[^]]*\] )?(?P<where>\S+) (?P<suite>\S+) (?P<parts>.+)$")
_TIMEOUT_S = 300.0


def fetch_loader(arch: str, staged: Path) -> Path:
    """Return musl's loader for Debian's ``arch`` (``amd64``, ``arm64``), unpacked below ``staged``.

    Raises:
        PrerequisiteError: apt is missing, or this is not Debian.
        FetchError: the package could not be fetched or unpacked.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise PrerequisiteError(
            "apt-get and dpkg-deb are missing; they fetch musl", hint=_OTHERWISE
        )
    sources = _sources()
    for folder in ("lists/partial", "archives/partial", "parts"):
        (staged / folder).mkdir(parents=True)
    for number, (suffix, text) in enumerate(sources):
        files.write_whole(staged / "parts" / f"{number}{suffix}", text)
    options = {
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Cache": staged,
        "Dir::Cache::archives": staged / "archives",
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": staged / "parts",
        "Dir::State": staged,
        "Dir::State::lists": staged / "lists",
    }
    apt = ["apt-get", "-q", *(word for each in options.items() for word in ("-o", _option(each)))]
    for words in (["update"], ["download", "musl"]):
        done = run_tool([*apt, *words], cwd=staged, timeout_s=_TIMEOUT_S)
        if done.code != 0:
            raise FetchError(f"apt-get {' '.join(words)} failed:\n{done.tail}", hint=_OTHERWISE)
    packages = sorted(staged.glob("musl_*.deb"))
    if len(packages) != 1:
        raise FetchError(f"apt-get left {len(packages)} packages of musl", hint=_OTHERWISE)
    done = run_tool(["dpkg-deb", "--extract", packages[0], staged / "package"])
    loaders = sorted((staged / "package").rglob("libc.so"))
    if done.code != 0 or len(loaders) != 1:
        raise FetchError(f"{packages[0].name} has no loader:\n{done.tail}", hint=_OTHERWISE)
    return loaders[0]


def _option(pair: tuple[str, object]) -> str:
    return f"{pair[0]}={pair[1]}"


def _sources() -> list[tuple[str, str]]:
    """Return the machine's sources with another suite: suffix of a file, and its text.

    Raises:
        PrerequisiteError: there are none for a Debian release.
    """
    release = Path("/etc/os-release")
    text = release.read_text() if release.is_file() else ""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.MULTILINE))
    codename = fields.get("VERSION_CODENAME", "")
    found: list[tuple[str, str]] = []
    if fields.get("ID") == "debian" and codename:
        for path in [_SOURCES / "sources.list", *sorted((_SOURCES / "sources.list.d").glob("*"))]:
            if path.suffix in {".sources", ".list"} and path.is_file():
                found += _rewritten(path.suffix, path.read_text(errors="replace"), codename)
    if not found:
        raise PrerequisiteError("apt has no Debian release in its sources", hint=_OTHERWISE)
    return found


def _rewritten(suffix: str, text: str, codename: str) -> list[tuple[str, str]]:
    if suffix == ".list":
        lines = [_ONE_LINE.match(line.strip()) for line in text.splitlines()]
        return [
            (suffix, f"deb {line['options'] or ''}{line['where']} {SUITE} main\n")
            for line in lines
            if line and line["suite"] == codename
        ]
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
        if suites and codename in suites[1].split():
            changed = re.sub(r"(?m)^Suites:.*$", f"Suites: {SUITE}", stanza)
            found.append(
                (suffix, re.sub(r"(?m)^Components:.*$", "Components: main", changed) + "\n")
            )
    return found
