"""Runs all checks of a patched tree, and caches their results."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from gobun import cache, console, files, paths, toolchain
from gobun.bun_check import cxx, parsing, tree_checks, zig
from gobun.bun_check.records import ALL_PATCHES, CheckReport, CheckResult
from gobun.bun_check.tree import stock_content
from gobun.bun_source import identity_of, submodule_folders
from gobun.bun_source.apply import make_commits
from gobun.errors import PatchError, UsageError
from gobun.scratch import scratch_folder
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gobun.bun_check.codegen import Scratch
    from gobun.bun_source import Checkout, Patch, Series

Depth = Literal["files", "semantics", "object"]
"""The depth of a check. Each level includes the ones before it."""

_FORM = 3
"""Increment this when a check changes, so that cached results are not used."""


def check_series(
    checkout: Checkout,
    series: Series,
    patches: Sequence[Patch],
    *,
    depth: Depth = "semantics",
    unpatched: bool = False,
) -> CheckReport:
    """Check the tree of a checkout's base with ``patches``. The checkout does not change.

    ``unpatched`` checks the base with the control's patches only. It still looks for the constants
    that ``patches`` list for the object.

    Raises:
        UsageError: there is no patch.
        PatchError: one of the patches does not apply.
        BuildError: upstream's code generation failed, or the object cannot be built.
        PrerequisiteError: a tool, a header or memory is missing.
        FetchError: Zig or Bun cannot be fetched.
    """
    series.check_carries("check")
    if not patches:
        raise UsageError(
            f"no patch of {series.line} is left to check", hint="exclude fewer patches"
        )
    applied = series.control_patches if unpatched else tuple(patches)
    wheel = zig.wheel_for(checkout.version, series.zig)
    commits = make_commits(checkout.git, checkout.base, series, applied, checkout.version)
    head = commits[-1] if commits else checkout.base
    identity = identity_of(checkout.upstream, series, applied)
    root = paths.cache_root() / tree_checks.KIND
    folder = root / f"{checkout.version}-{identity}-{_inputs_key(applied)}"
    object_folder = root / f"{checkout.version}-{identity}-object"
    cache.pin(folder)

    @functools.cache
    def prepare_codegen() -> Scratch | None:
        return tree_checks.prepare(checkout, head, folder, wheel)

    def check_texts() -> Iterator[CheckResult]:
        yield from _applying(checkout, series, applied)
        yield from _reading(checkout, applied, commits, wheel)

    def analyse() -> Iterator[CheckResult]:
        if unpatched or any(path.endswith(".zig") for each in patches for path in each.files):
            yield tree_checks.semantic(prepare_codegen())
        else:
            yield CheckResult(
                ALL_PATCHES, "semantic analysis", "Zig", "not checked", "no patch touches it"
            )
        scratch = prepare_codegen()
        if scratch is not None:
            yield from cxx.compile_touched(scratch.tree, submodule_folders(checkout), applied)

    with files.locked(folder):
        results = _recall_or_check(folder / "files.json", check_texts)
        if depth != "files":
            results += _recall_or_check(folder / "semantics.json", analyse)
        if depth == "object":
            results += tree_checks.check_constants(prepare_codegen, object_folder, patches)
        if not any(each.verdict == "wrong" for each in results):
            shutil.rmtree(folder / "tree", ignore_errors=True)
    names = () if unpatched else tuple(patch.id for patch in applied)
    return CheckReport(identity, checkout.version, names, tuple(results))


def _recall_or_check(
    path: Path, run_checks: Callable[[], Iterable[CheckResult]]
) -> list[CheckResult]:
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        remembered = msgspec.json.decode(path.read_bytes(), type=list[CheckResult])
        console.log(f"using the answer of an earlier run: {path}")
        return remembered
    path.parent.mkdir(parents=True, exist_ok=True)
    results = list(run_checks())
    files.write_whole(path, files.readable_json(results))
    return results


def _inputs_key(patches: Sequence[Patch]) -> str:
    """Return a short key of all inputs of the checks except the tree."""
    questions = [(patch.id, patch.files, patch.functions) for patch in patches]
    return hashlib.sha256(repr((_FORM, questions, host_target().name)).encode()).hexdigest()[:8]


def _applying(
    checkout: Checkout, series: Series, patches: Sequence[Patch]
) -> Iterator[CheckResult]:
    """Check that each patch applies without the others, so that any of them can be left out."""
    for patch in patches:
        try:
            make_commits(checkout.git, checkout.base, series, [patch], checkout.version)
        except PatchError as error:
            yield CheckResult(patch.id, "applies alone", "the release", "wrong", error.what)
        else:
            yield CheckResult(patch.id, "applies alone", "the release", "proven")


def _reading(
    checkout: Checkout, patches: Sequence[Patch], commits: Sequence[str], wheel: str
) -> Iterator[CheckResult]:
    """Check every file that a patch touches, in its state right after that patch."""
    git = checkout.git
    befores = [checkout.base, *commits]
    with scratch_folder("check") as temporary:
        for patch, before, after in zip(patches, befores, commits, strict=False):
            defined: set[str] = set()
            for path in patch.files:
                new = stock_content(git, after, path)
                if new is None:
                    continue
                if not parsing.is_known(path):
                    reason = "there is no grammar for this kind of file"
                    yield CheckResult(patch.id, "parses", path, "not checked", reason)
                    continue
                old = stock_content(git, before, path)
                was = parsing.parse(path, old) if old is not None else None
                now = parsing.parse(path, new)
                defined |= now.functions
                worse = "; ".join(
                    f"line {line}: {text!r}" for line, text in parsing.new_errors(was, now)
                )
                yield CheckResult(patch.id, "parses", path, "wrong" if worse else "proven", worse)
                yield from _check_kept_functions(patch, path, was, now)
                if path.endswith(".zig"):
                    yield from _zig_file(wheel, patch, path, new, Path(temporary))
            for name in patch.functions:
                if name in defined:
                    yield CheckResult(patch.id, "function is there", name, "proven")
                else:
                    reason = f"none of {', '.join(patch.files)} defines it"
                    yield CheckResult(patch.id, "function is there", name, "wrong", reason)


def _check_kept_functions(
    patch: Patch, path: str, original: parsing.ParsedSource | None, patched: parsing.ParsedSource
) -> Iterator[CheckResult]:
    lost = sorted(original.functions - patched.functions) if original is not None else []
    if lost:
        message = f"no longer defined: {', '.join(lost)}"
        yield CheckResult(patch.id, "keeps every function", path, "wrong", message)
    elif original is not None:
        yield CheckResult(patch.id, "keeps every function", path, "proven")


def _zig_file(
    wheel: str, patch: Patch, path: str, content: bytes, folder: Path
) -> Iterator[CheckResult]:
    tool = toolchain.zig(wheel)
    for check, fault in zig.faults(tool, path, content, folder).items():
        yield CheckResult(patch.id, check, path, "wrong" if fault else "proven", fault)


def render(report: CheckReport) -> str:
    """Return a report by patch, with the details of each check that failed or did not run."""
    lines = [f"Bun {report.version}, tree {report.identity}"]
    if not report.patches:
        lines[0] += ", unpatched"
    patches = (each.patch for each in report.findings if each.patch != ALL_PATCHES)
    for name in dict.fromkeys((*report.patches, *patches, ALL_PATCHES)):
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
