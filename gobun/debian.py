"""Gets Debian packages of any release and processor, with apt and the machine's own sources.

apt works in a private state folder, so it installs nothing and changes nothing on the machine. It
checks the archive's signature with the machine's own keys, and each package by its digest.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gobun import files
from gobun.errors import FetchError, PrerequisiteError
from gobun.process import Finished, run_bytes, run_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

_SOURCES = Path("/etc/apt")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ONE_LINE = re.compile(r"^deb (?P<options>\[[^]]*\] )?(?P<where>\S+) (?P<suite>\S+) (?P<parts>.+)$")
_TIMEOUT_S = 900.0


class Apt:
    """apt for one processor and one release, in a separate folder."""

    def __init__(self, arch: str, suite: str, folder: Path, *, hint: str, mirror: str = "") -> None:
        """Prepare apt in the empty folder ``folder``, and fetch the lists of packages.

        ``arch`` is Debian's name of the processor (``amd64``, ``arm64``). ``mirror`` is the address
        of an archive. By default, the machine's sources name it. Every error has the hint ``hint``.

        Raises:
            PrerequisiteError: apt is missing, or the machine has no sources of Debian.
            FetchError: the lists could not be fetched.
        """
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            message = "apt-get and dpkg-deb are missing; they fetch Debian's packages"
            raise PrerequisiteError(message, hint=hint)
        self._folder = folder
        self._hint = hint
        sources = [mirror_source(mirror, suite)] if mirror else own_sources(suite, hint)
        for subfolder in ("lists/partial", "archives/partial", "parts"):
            (folder / subfolder).mkdir(parents=True)
        for number, (suffix, text) in enumerate(sources):
            files.write_whole(folder / "parts" / f"{number}{suffix}", text)
        files.write_whole(folder / "status", "")
        options = {
            "APT::Architecture": arch,
            "APT::Architectures": arch,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Dir::Cache": folder,
            "Dir::Cache::archives": folder / "archives",
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": folder / "parts",
            "Dir::State": folder,
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
        }
        self._options = [word for name in options for word in ("-o", f"{name}={options[name]}")]
        self._get("update")

    def download(self, name: str) -> Path:
        """Return the package ``name``, without its dependencies.

        Raises:
            FetchError: there is no such package, or it could not be fetched.
        """
        download_folder = self._folder / "single"
        download_folder.mkdir(exist_ok=True)
        self._get("download", name, cwd=download_folder)
        packages = sorted(download_folder.glob(f"{name}_*.deb"))
        if len(packages) != 1:
            message = f"apt-get left {len(packages)} packages of {name}"
            raise FetchError(message, hint=self._hint)
        return packages[0]

    def download_all(self, names: Sequence[str]) -> list[Path]:
        """Return the packages ``names`` and all that they depend on.

        Raises:
            FetchError: there is no such package, or one could not be fetched.
        """
        self._get("install", "--download-only", "--yes", *names)
        return sorted((self._folder / "archives").glob("*.deb"))

    def first_dependency(self, name: str) -> str:
        """Return the first package that ``name`` depends on. For a metapackage, it is the real one.

        Raises:
            FetchError: there is no such package, or it depends on nothing.
        """
        command = ["apt-cache", *self._options, "show", "--no-all-versions", name]
        completed = run_tool(command, cwd=self._folder, timeout_s=_TIMEOUT_S)
        match = re.search(r"^Depends: ([a-z0-9][a-z0-9+.-]*)", completed.out, re.MULTILINE)
        if completed.code != 0 or match is None:
            raise FetchError(f"there is no package {name} in the archive", hint=self._hint)
        return match[1]

    def _get(self, *words: str, cwd: Path | None = None) -> Finished:
        command = ["apt-get", "-q", *self._options, *words]
        completed = run_tool(command, cwd=cwd or self._folder, timeout_s=_TIMEOUT_S)
        if completed.code != 0:
            message = f"apt-get {' '.join(words)} failed:\n{completed.tail}"
            raise FetchError(message, hint=self._hint)
        return completed


def unpack(package: Path, folder: Path, *, patterns: Sequence[str] = ()) -> None:
    """Unpack the files of a package into ``folder``, or those that match ``patterns``.

    A folder that is a link (``/lib`` of current releases) stays one.

    Raises:
        FetchError: the package is damaged, or its files cannot be written.
        PrerequisiteError: dpkg-deb or tar is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packed = run_bytes(["dpkg-deb", "--fsys-tarfile", package], timeout_s=_TIMEOUT_S)
    command = ["tar", "--extract", "--keep-directory-symlink", "--no-same-owner"]
    command += ["--directory", str(folder), *(["--wildcards", *patterns] if patterns else [])]
    completed = run_bytes(command, stdin=packed.out, timeout_s=_TIMEOUT_S)
    if packed.code != 0 or completed.code != 0:
        message = (packed.err + completed.err).decode(errors="replace").strip()
        raise FetchError(f"{package.name} cannot be unpacked:\n{message}", hint="check the disk")


def own_sources(suite: str, hint: str) -> list[tuple[str, str]]:
    """Return the machine's sources with ``suite`` as their release: file suffix and text of each.

    Raises:
        PrerequisiteError: the sources name no Debian release. The error has ``hint``.
    """
    release = Path("/etc/os-release")
    text = release.read_text() if release.is_file() else ""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.MULTILINE))
    codename = fields.get("VERSION_CODENAME", "")
    sources: list[tuple[str, str]] = []
    if fields.get("ID") == "debian" and codename:
        for path in [_SOURCES / "sources.list", *sorted((_SOURCES / "sources.list.d").glob("*"))]:
            if path.suffix in {".sources", ".list"} and path.is_file():
                content = path.read_text(errors="replace")
                sources += rewritten(path.suffix, content, codename, suite)
    if not sources:
        raise PrerequisiteError("apt has no Debian release in its sources", hint=hint)
    return sources


def rewritten(file_suffix: str, text: str, codename: str, suite: str) -> list[tuple[str, str]]:
    """Return a file's sources of the release ``codename``, changed to ``suite`` and to ``main``."""
    if file_suffix == ".list":
        lines = [_ONE_LINE.match(line.strip()) for line in text.splitlines()]
        return [
            (file_suffix, f"deb {line['options'] or ''}{line['where']} {suite} main\n")
            for line in lines
            if line and line["suite"] == codename
        ]
    sources = []
    for stanza in re.split(r"\n\s*\n", text):
        suites = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
        if suites and codename in suites[1].split():
            with_suite = re.sub(r"(?m)^Suites:.*$", f"Suites: {suite}", stanza)
            sources.append(
                (file_suffix, re.sub(r"(?m)^Components:.*$", "Components: main", with_suite) + "\n")
            )
    return sources


def mirror_source(mirror: str, suite: str) -> tuple[str, str]:
    """Return the file suffix and the text of an apt source for ``mirror``."""
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.is_file() else ""
    return ".list", f"deb {signed}{mirror} {suite} main\n"
