"""Every command in a page, a workflow or a message exists and has the given flags."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from invoke.collection import Collection

import tasks
from gobun import paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TASK_OF = {
    "bun_stock": "matrix",
    "node": "matrix",
    "deno": "matrix",
    "bun_patched": "matrix-patched",
}
_NOX = re.compile(r"\.venv/bin/nox -s (?P<session>[a-z_]+)(?: -- (?P<words>(?:[^\n`\\;]|\\\n)+))?")
_INVOKE = re.compile(r"`invoke (?P<words>[a-z][^`]*)`")
_PLACEHOLDERS = ("TASK", "$@")


def sources() -> list[Path]:
    patterns = ("*.md", "docs/*.md", "ci/*", ".ci/*", "gobun/**/*.py", "js/go-warmup/*.md")
    return sorted(path for pattern in patterns for path in paths.ROOT.glob(pattern))


def named(text: str) -> Iterator[list[str]]:
    """Yield the words of each command: a task, then its arguments."""
    for match in _NOX.finditer(text):
        words = (match["words"] or "").replace("\\\n", " ").partition(')"')[0].partition(";")[0]
        first = [_TASK_OF[match["session"]]] if match["session"] in _TASK_OF else []
        arguments = [*first, *shlex.split(words, comments=True)]
        if arguments and (first or match["session"] == "shell"):
            yield arguments
    for match in _INVOKE.finditer(text):
        yield match["words"].split()


@pytest.fixture(scope="module")
def known_flags() -> dict[str, set[str]]:
    contexts = Collection.from_module(tasks).to_contexts()
    return {str(context.name): {*context.flags, *context.inverse_flags} for context in contexts}


def test_documented_tasks_sessions_and_flags_exist(known_flags: dict[str, set[str]]) -> None:
    wrong = []
    for path in sources():
        for task, *words in named(path.read_text()):
            before = words[: words.index("--")] if "--" in words else words
            flags = {word.partition("=")[0] for word in before if word.startswith("--")}
            if task not in _PLACEHOLDERS and not (
                task in known_flags and flags <= known_flags[task]
            ):
                wrong.append(f"{path.relative_to(paths.ROOT)}: {task} {' '.join(words)}")
    assert wrong == []


def test_documented_commands_are_found(known_flags: dict[str, set[str]]) -> None:
    text = (
        'x="$(.venv/bin/nox -s shell -- plan --json --shards "$N")"\n`invoke expect --update F`\n'
    )
    assert list(named(text)) == [["plan", "--json", "--shards", "$N"], ["expect", "--update", "F"]]
    block = ".venv/bin/nox -s bun_stock -- --versions latest \\\n    --stress all   # less\n"
    assert list(named(block)) == [["matrix", "--versions", "latest", "--stress", "all"]]
    programs = {words[0] for path in sources() for words in named(path.read_text())}
    assert len(programs) > len(known_flags) / 2


def test_commands_page_lists_every_task(known_flags: dict[str, set[str]]) -> None:
    listed = set(re.findall(r"`([a-z][a-z-]*)", (paths.ROOT / "docs" / "commands.md").read_text()))
    assert set(known_flags) - listed == set()
