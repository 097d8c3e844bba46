"""Checks the whole patched tree: all of its Zig code, and the object code."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from gobun import cache, console, files, paths, runtimes, toolchain
from gobun.bun_check import codegen, zig_analysis
from gobun.bun_check.object_code import ObjectCode
from gobun.bun_check.records import ALL_PATCHES, CheckResult
from gobun.bun_check.tree import cut_links, write_tree
from gobun.bun_source import memory_gib
from gobun.errors import BuildError, PrerequisiteError
from gobun.targets import host_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from gobun.bun_check.codegen import Scratch
    from gobun.bun_source import Checkout, Constant, Patch

KIND = "bun-check"
OBJECT = "bun-zig.o"
_UNKNOWN_CODEGEN = (
    "how a tree of this layout makes what its Zig code imports is not in codegen.toml"
)
_RELEASE = (
    "-Dobj_format=obj",
    "-Dtarget=x86_64-linux-gnu",
    "-Dcpu=haswell",
    "-Doptimize=ReleaseFast",
    "-Dcodegen_embed=true",
)
"""Upstream's flags for its release for Linux x64, the only platform whose code is checked."""
_OBJECT_GIB = 8


def prepare(checkout: Checkout, head: str, folder: Path, wheel: str) -> Scratch | None:
    """Make a copy of a tree for the stock Zig, or return None if its layout is unknown.

    ``wheel`` is the release of the stock Zig.

    Raises:
        BuildError: upstream's code generation failed.
        PrerequisiteError: a tool or a header is missing.
        FetchError: Zig or Bun cannot be fetched.
    """
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    console.log(f"copying the tree to {tree}")
    missing = [
        path for each in checkout.store.missing_files(checkout.base).values() for path in each
    ]
    write_tree(checkout.git, head, missing, tree)
    for link in cut_links(tree):
        console.log(f"left out of the copy, because the link leads out of it: {link}")
    layout = codegen.layout_of(tree)
    if layout is None:
        shutil.rmtree(tree)
        return None
    bun = runtimes.provide_bun([checkout.version], host_target())[0].program
    tool = toolchain.zig(wheel)
    scratch = codegen.Scratch(
        tree,
        layout,
        checkout.version,
        checkout.upstream,
        bun,
        tool,
        folder,
        zig_cache(tool.version),
    )
    zig_analysis.provide(scratch)
    codegen.generate(scratch)
    zig_analysis.rewrite(scratch)
    return scratch


def zig_cache(version: str) -> Path:
    """Return the folder of Zig's own cache for a version of Zig, and keep it from eviction."""
    folder = paths.cache_root() / f"zig-{version}"
    cache.pin(folder)
    return folder


def semantic(scratch: Scratch | None) -> CheckResult:
    """Check that all of the Zig code passes analysis.

    Raises:
        PrerequisiteError: Zig failed for a reason other than the code, such as a full disk.
    """
    check, subject = "semantic analysis", "all of Bun's Zig code"
    if scratch is None:
        return CheckResult(ALL_PATCHES, check, subject, "not checked", _UNKNOWN_CODEGEN)
    analysis = zig_analysis.analyse(scratch)
    if analysis.code == 0:
        return CheckResult(
            ALL_PATCHES, check, subject, "proven", f"Zig {scratch.zig.version}, this machine"
        )
    detail = "\n".join((*analysis.errors, f"the whole log: {analysis.log}"))
    return CheckResult(ALL_PATCHES, check, subject, "wrong", detail)


def make_object(prepare_scratch: Callable[[], Scratch | None], folder: Path) -> Path | None:
    """Return the optimised object of a tree, from ``folder`` if it was built before.

    Return None if the layout of the tree is unknown.

    Raises:
        BuildError: it does not compile.
        PrerequisiteError: the machine has too little memory.
    """
    object_file = folder / OBJECT
    cache.pin(folder)
    with files.locked(folder):
        if object_file.is_file():
            console.log(f"using the object of an earlier run: {object_file}")
            return object_file
        _check_memory()
        scratch = prepare_scratch()
        if scratch is None:
            return None
        flags = [*_RELEASE, "--prefix", str(scratch.build)]
        compiled = zig_analysis.zig_build(scratch, "obj", flags, "compiling")
        if compiled.code != 0:
            raise BuildError(
                "the object could not be built:\n" + "\n".join(compiled.errors),
                hint=f"the log is {compiled.log}",
            )
        files.copy_whole(scratch.build / OBJECT, object_file)
    return object_file


def _check_memory() -> None:
    memory = memory_gib()
    if memory < _OBJECT_GIB * 0.95:
        raise PrerequisiteError(
            f"compiling Bun's Zig code takes {_OBJECT_GIB} GiB of memory, and this machine "
            f"has {memory:.0f}",
            hint="leave out --object; the analysis without it takes 2 GiB",
        )


def check_constants(
    prepare_scratch: Callable[[], Scratch | None], object_folder: Path, patches: Sequence[Patch]
) -> Iterator[CheckResult]:
    """Check that the object of a tree contains the constants that its patches should add."""
    check, subject = "compiled constant", "the optimised object"
    if not any(patch.compiled for patch in patches):
        reason = "no patch says what it should hold"
        yield CheckResult(ALL_PATCHES, check, subject, "not checked", reason)
        return
    try:
        object_file = make_object(prepare_scratch, object_folder)
    except BuildError as error:
        yield CheckResult(ALL_PATCHES, check, subject, "wrong", str(error))
        return
    if object_file is None:
        yield CheckResult(ALL_PATCHES, check, subject, "not checked", _UNKNOWN_CODEGEN)
        return
    machine = ObjectCode(object_file)
    for patch in patches:
        for constant in patch.compiled:
            yield _constant(machine, patch.id, constant)


def _constant(machine: ObjectCode, patch: str, constant: Constant) -> CheckResult:
    check, subject = "compiled constant", f"{constant.holds} for {constant.calls}"
    reach = machine.reach(
        constant.functions, constant.through, constant.calls, (constant.holds, constant.was)
    )
    if not reach.calls:
        reason = f"no function {constant.functions!r} of the object calls it"
        return CheckResult(patch, check, subject, "wrong", reason)
    constants = "; ".join(f"{function} has {value}" for function, value in reach.constants)
    values = {value for _, value in reach.constants}
    if values == {constant.holds}:
        return CheckResult(patch, check, subject, "proven", constants)
    same = constant.was in values
    reason = f"{constants}, as without the patch" if same else "its functions do not have it"
    return CheckResult(patch, check, subject, "wrong", reason)
