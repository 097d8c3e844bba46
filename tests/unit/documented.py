"""Finds the commands in the fenced blocks of all pages, and the ones that no test runs."""

from __future__ import annotations

import fnmatch
import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import paths

if TYPE_CHECKING:
    from collections.abc import Iterator

PATTERNS = ("*.md", "docs/*.md", "js/*/*.md", ".github/**/*.md")
TABLE = Path(__file__).parent / "documented_commands.toml"

_FENCE = re.compile(
    r"^(?P<in> *)(?P<mark>`{3,})(?P<kind>[^\n]*)\n(?P<body>.*?)^(?P=in)(?P=mark) *$",
    re.MULTILINE | re.DOTALL,
)
_INLINE_TESTS = re.compile(r"`((?:[A-Z_]+=\S+\s+)?pytest\s[^`]+)`")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*=\S*$")
_PROGRAMS = {
    ".venv/bin/nox",
    "ADDON",
    "apt-get",
    "bash",
    "bun",
    "cd",
    "curl",
    "docker",
    "export",
    "gcc",
    "git",
    "go",
    "guard_stress",
    "invoke",
    "make",
    "node",
    "nox",
    "npm",
    "pip",
    "pytest",
    "python3",
    "sh",
    "tar",
    "timeout",
}
"""The beginnings of lines that a reader types. No line of output begins like that."""


class Command(msgspec.Struct, frozen=True):
    """One command that a page prints for its reader."""

    page: str
    line: int
    text: str
    """The command as printed, continuation lines joined, its comment left out."""

    @property
    def arguments(self) -> list[str]:
        """The words of the command, without the variables before it."""
        words = shlex.split(self.text, comments=True)
        while words and _VARIABLE.match(words[0]):
            words.pop(0)
        return words


class NotRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Commands that no test runs as printed, and why."""

    reason: str
    commands: tuple[str, ...]
    """Patterns, as of a shell, that a whole command matches."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    exit_codes: dict[str, int]
    """Commands that are run and do not exit with 0."""
    not_run: tuple[NotRun, ...]


class Block(msgspec.Struct, frozen=True):
    """A fenced block of a page."""

    page: str
    line: int
    kind: str
    """The language after the fence; empty for commands and for output."""
    body: str


def _pages() -> list[Path]:
    return sorted(path for pattern in PATTERNS for path in paths.ROOT.glob(pattern))


def blocks() -> Iterator[Block]:
    """Yield every fenced block."""
    for path in _pages():
        text = path.read_text()
        page = path.relative_to(paths.ROOT).as_posix()
        for fence in _FENCE.finditer(text):
            line = text.count("\n", 0, fence.start()) + 1
            yield Block(page, line, fence["kind"].strip(), fence["body"])


def commands() -> list[Command]:
    """Return every command of every block, and the test runs that a sentence names."""
    lines = [each for block in blocks() if not block.kind for each in commands_of(block)]
    for path in _pages():
        page = path.relative_to(paths.ROOT).as_posix()
        lines += [
            Command(page, 0, " ".join(inline[1].split()))
            for inline in _INLINE_TESTS.finditer(path.read_text())
        ]
    return lines


def commands_of(block: Block) -> Iterator[Command]:
    """Yield the commands of a block: lines after `$`, or all lines that begin with a program."""
    lines = block.body.replace("\\\n", " ").splitlines()
    marked = [line[2:] for line in lines if line.startswith("$ ")]
    typed = marked or [line for line in lines if _is_command(line)]
    for text in typed:
        for part in re.sub(r"\s+#\s.*", "", text).split(" && "):
            yield Command(block.page, block.line, " ".join(part.split()))


def mixes_output(block: Block) -> bool:
    """Return whether a block mixes output with commands that have no `$`."""
    lines = [line for line in block.body.replace("\\\n", " ").splitlines() if line.strip()]
    typed = [line for line in lines if _is_command(line)]
    return bool(typed) and len(typed) < len(lines) and not any(x.startswith("$ ") for x in lines)


def _is_command(line: str) -> bool:
    words = line.split()
    while words and _VARIABLE.match(words[0]):
        words = words[1:]
    return bool(words) and (words[0] in _PROGRAMS or words[0].startswith("./"))


def table() -> _Table:
    """Return the commands that do not run, and the exit codes of the others."""
    return msgspec.convert(tomllib.loads(TABLE.read_text()), _Table)


def reason_of(command: Command) -> str:
    """Return the reason why a command is not run, or an empty text."""
    for each in table().not_run:
        if any(fnmatch.fnmatchcase(command.text, pattern) for pattern in each.commands):
            return each.reason
    return ""
