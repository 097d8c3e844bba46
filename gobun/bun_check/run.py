"""Asks everything of a patched tree, and remembers what was proven about it."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import cache, console, files, paths, runtimes, toolchain
from gobun.bun_check import parsing, semantics, zig
from gobun.bun_check.records import Finding, Report
from gobun.bun_check.tree import content_of, write_tree
from gobun.bun_source import identity_of
from gobun.bun_source.applying import make_commits
from gobun.errors import PatchError, UsageError
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gobun.bun_source import Checkout, Patch, Series

KIND = "bun-check"
_ALL = "all"
_FORM = 1
"""Counted up when a check is added, so that what was remembered is asked again."""


def check_series(
    checkout: Checkout, series: Series, patches: Sequence[Patch], *, semantic: bool = True
) -> Report:
    """Check the tree that ``patches`` make of a checkout's base; the checkout is left alone.

    Raises:
        UsageError: there is none.
        PatchError: one of the patches does not apply.
        BuildError: upstream's code generation failed.
        PrerequisiteError: a tool or a header is missing.
        FetchError: Zig or Bun cannot be had.
    """
    if not patches:
        raise UsageError(f"no patch of {series.line} is left to check", hint="see its series.toml")
    commits = make_commits(checkout.git, checkout.base, series, patches, checkout.version)
    head = commits[-1]
    identity = identity_of(checkout.upstream, series, patches)
    folder = paths.cache_root() / KIND / f"{checkout.version}-{identity}-{_asked(patches)}"
    cache.hold(folder)
    with files.locked(folder):
        remembered = folder / ("report.json" if semantic else "quick.json")
        if remembered.is_file():
            console.say(f"asked before: {remembered}")
            return msgspec.json.decode(remembered.read_bytes(), type=Report)
        folder.mkdir(parents=True, exist_ok=True)
        found = [
            *_applying(checkout, series, patches),
            *_reading(checkout, patches, commits),
            *(_semantic(checkout, head, folder) if semantic else ()),
        ]
        names = tuple(patch.id for patch in patches)
        report = Report(identity, checkout.version, names, tuple(found))
        files.write_whole(remembered, files.readable_json(report))
    return report


def _asked(patches: Sequence[Patch]) -> str:
    """Return a short name of all that the answers depend on, the tree left aside."""
    questions = [(patch.id, patch.files, patch.functions) for patch in patches]
    return hashlib.sha256(repr((_FORM, questions, host_target().name)).encode()).hexdigest()[:8]


def _applying(checkout: Checkout, series: Series, patches: Sequence[Patch]) -> Iterator[Finding]:
    """Ask whether each patch applies without the others: only then can one be left out."""
    for patch in patches:
        try:
            make_commits(checkout.git, checkout.base, series, [patch], checkout.version)
        except PatchError as error:
            yield Finding(patch.id, "applies alone", "the release", "wrong", error.what)
        else:
            yield Finding(patch.id, "applies alone", "the release", "proven")


def _reading(
    checkout: Checkout, patches: Sequence[Patch], commits: Sequence[str]
) -> Iterator[Finding]:
    """Ask about every file that a patch touches, as it is right after that patch."""
    git = checkout.git
    befores = [checkout.base, *commits]
    with tempfile.TemporaryDirectory(prefix="gobun-check-") as temporary:
        for patch, before, after in zip(patches, befores, commits, strict=False):
            defined: set[str] = set()
            for path in patch.files:
                new = content_of(git, after, path)
                if new is None:
                    continue
                if not parsing.is_known(path):
                    why = "there is no grammar for this kind of file"
                    yield Finding(patch.id, "parses", path, "not checked", why)
                    continue
                old = content_of(git, before, path)
                was = parsing.parse(path, old) if old is not None else None
                now = parsing.parse(path, new)
                defined |= now.functions
                worse = "; ".join(
                    f"line {line}: {text!r}" for line, text in parsing.new_errors(was, now)
                )
                yield Finding(patch.id, "parses", path, "wrong" if worse else "proven", worse)
                yield from _kept(patch, path, was, now)
                if path.endswith(".zig"):
                    yield from _zig_file(checkout.version, patch, path, new, Path(temporary))
            for name in patch.functions:
                if name in defined:
                    yield Finding(patch.id, "function is there", name, "proven")
                else:
                    why = f"none of {', '.join(patch.files)} defines it"
                    yield Finding(patch.id, "function is there", name, "wrong", why)


def _kept(
    patch: Patch, path: str, was: parsing.Parsed | None, now: parsing.Parsed
) -> Iterator[Finding]:
    lost = sorted(was.functions - now.functions) if was is not None else []
    if lost:
        said = f"no longer defined: {', '.join(lost)}"
        yield Finding(patch.id, "keeps every function", path, "wrong", said)
    elif was is not None:
        yield Finding(patch.id, "keeps every function", path, "proven")


def _zig_file(
    version: str, patch: Patch, path: str, content: bytes, folder: Path
) -> Iterator[Finding]:
    tool = toolchain.zig(zig.wheel_for(version))
    for check, fault in zig.faults(tool, path, content, folder).items():
        yield Finding(patch.id, check, path, "wrong" if fault else "proven", fault)


def _semantic(checkout: Checkout, head: str, folder: Path) -> Iterator[Finding]:
    check, subject = "semantic analysis", "all of Bun's Zig code"
    touched = checkout.git("diff", "--name-only", checkout.base, head).splitlines()
    if not any(path.endswith(".zig") for path in touched):
        yield Finding(_ALL, check, subject, "not checked", "no patch touches Zig")
        return
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    console.say(f"copying the patched tree to {tree}")
    missing = [path for each in checkout.store.missing(checkout.base).values() for path in each]
    write_tree(checkout.git, head, missing, tree)
    layout = semantics.layout_of(tree)
    if layout is None:
        shutil.rmtree(tree)
        why = "how a tree of this layout makes what its Zig code imports is not in codegen.toml"
        yield Finding(_ALL, check, subject, "not checked", why)
        return
    bun = runtimes.provide_bun([checkout.version], host_target())[0].program
    tool = toolchain.zig(zig.wheel_for(checkout.version))
    analysis = semantics.Analysis(
        tree, checkout.version, checkout.upstream, bun, tool, folder, _zig_cache(tool.version)
    )
    semantics.generate(analysis, layout)
    done = semantics.analyse(analysis)
    if done.code == 0:
        yield Finding(_ALL, check, subject, "proven", f"Zig {tool.version}, for this machine")
        shutil.rmtree(tree)
        return
    errors = [line for line in done.err.splitlines() if ": error: " in line]
    said = "\n".join(errors[:8]) or done.tail
    yield Finding(_ALL, check, subject, "wrong", f"{said}\nthe whole log: {folder}")


def _zig_cache(version: str) -> Path:
    folder = paths.cache_root() / f"zig-{version}"
    cache.hold(folder)
    return folder


def render(report: Report) -> str:
    """Return a report for a terminal: patch by patch, what is wrong and what is open in full."""
    lines = [f"Bun {report.version}, tree {report.identity}"]
    for name in (*report.patches, _ALL):
        about = [each for each in report.findings if each.patch == name]
        proven = [each for each in about if each.verdict == "proven"]
        lines.append(f"{name}: {len(proven)} of {len(about)} proven" if about else f"{name}: -")
        checks = dict.fromkeys(each.check for each in proven)
        if checks:
            lines.append(f"  proven: {', '.join(checks)}")
        lines += [
            f"  {each.verdict}: {each.check}, {each.subject}"
            + "".join(f"\n    {line}" for line in each.detail.splitlines())
            for each in about
            if each.verdict != "proven"
        ]
    return "\n".join(lines)
