"""Runs the matrix with a person's own addon instead of the suite's modules."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gobun import audit, build, embed, matrix
from gobun.build import Fixture
from gobun.errors import UsageError
from gobun.targets import host_target, runnable_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gobun.cells import Axes, Load, Result
    from gobun.targets import Target

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._]+")

LOADS: tuple[Load, ...] = ("napi-sync", "worker")
"""Where a smoke script can run: on the main thread, or in a worker."""
_POOL: Load = "napi-async"
_LIBRARY: Load = "ffi"
_CALLS_POOL = re.compile(r"\bcallAsync\b")


class CustomAddon(msgspec.Struct, frozen=True):
    """An addon, and the script that loads and checks it."""

    addon: Path
    smoke: Path
    """Exports ``load(addon, tools)`` and ``check(loaded)``. Either may be asynchronous. It may also
    export ``busy(loaded, ms)`` and ``callAsync(loaded, ms)``."""
    chosen_name: str = ""
    """The name that the person chose."""

    @property
    def name(self) -> str:
        """The name of the module in results. It differs from the names of the suite's modules."""
        # Names in a results file have no spaces, so `my addon.node` cannot be a module's name.
        stem = _NOT_IN_NAMES.sub("-", self.addon.stem).strip("-.") or "addon"
        return self.chosen_name or (f"own-{stem}" if stem in build.MODULES else stem)

    @property
    def loads(self) -> tuple[Load, ...]:
        """The default loads.

        A plain library is loaded through a foreign function interface. Calls on a pool thread need
        a script that implements them.
        """
        main = "napi-sync" if self.addon.suffix == ".node" else _LIBRARY
        calls_pool = _CALLS_POOL.search(self.smoke.read_text(errors="replace"))
        return (main, *([_POOL] if calls_pool else []), "worker")

    @property
    def fixture(self) -> Fixture:
        """The addon as a module of the matrix."""
        return Fixture(self.name, self.addon, self.addon)


def with_repro_flags(result: Result, addon: CustomAddon) -> Result:
    """Return a result with the addon in its command line."""
    words = ("--addon", str(addon.addon), "--smoke", str(addon.smoke), "--name", addon.name)
    return msgspec.structs.replace(result, repro=f"{result.repro} {shlex.join(words)}")


def addon_of(result: Result) -> CustomAddon | None:
    """Return the addon in a result's command line, or None if it has none.

    Raises:
        UsageError: the addon no longer exists, or the command line is damaged.
    """
    try:
        words = shlex.split(result.repro)
    except ValueError as error:
        message = f"the command line of {result.cell.name} is damaged: {error}"
        raise UsageError(message, hint="run that cell again") from error
    if "--addon" not in words:
        return None
    flags = dict(itertools.pairwise(words))
    addon, smoke = (flags.get(flag, "") for flag in ("--addon", "--smoke"))
    return make_addon(addon, smoke, flags.get("--name", ""), flags.get("--libc", ""))


def make_addon(addon: str, smoke: str, name: str = "", libc: str = "") -> CustomAddon | None:
    """Return the addon that the flags name, or None if they name none.

    ``libc`` is the C library of the runtimes.

    Raises:
        UsageError: ``addon`` or ``smoke`` is missing, the addon is not for this machine or this C
            library, or ``name`` is invalid.
    """
    if not addon and not smoke:
        if name:
            raise UsageError("--name is given without --addon", hint="it is the name of an addon")
        return None
    if not addon or not smoke:
        flags, missing = ("--addon", "--smoke") if addon else ("--smoke", "--addon")
        raise UsageError(
            f"{flags} is given without {missing}",
            hint="write a smoke script, which loads and checks the addon",
        )
    for named in (addon, smoke):
        _check_name(named)
    script = Path(smoke).absolute()
    if not script.is_file():
        raise UsageError(f"there is no smoke script {smoke}", hint="give the path of a .js file")
    if name and (name in build.MODULES or not _NAME.fullmatch(name)):
        raise UsageError(
            f"{name!r} cannot be the name of an addon",
            hint="use letters, digits, dots, dashes and underscores, and none of these modules: "
            + ", ".join(build.MODULES),
        )
    path = Path(addon).absolute()
    _check_fits(path, runnable_target(libc))
    return CustomAddon(path, script, name)


def _check_name(path: str) -> None:
    if not path.isprintable():
        raise UsageError(
            f"{path} has an unprintable character in its name",
            hint="rename it: command lines and reports contain the name",
        )


def check_modules(modules: Sequence[str], addon: CustomAddon) -> None:
    """Reject ``--module`` together with an addon, unless it names the addon.

    Raises:
        UsageError: ``modules`` contains another name.
    """
    for module in modules:
        if module != addon.name:
            raise UsageError(
                f"--module {module} and --addon exclude each other",
                hint="leave --module out, or run the suite's modules without --addon",
            )


def with_custom_addon(
    context: matrix.RunContext, addon: CustomAddon, treatments: Sequence[str]
) -> matrix.RunContext:
    """Return the context with the addon as its one module.

    Raises:
        UsageError: a treatment embeds the guard, and the addon cannot take it.
    """
    modules = {addon.name: addon.fixture}
    variants = matrix.module_variants(modules, treatments, context.target)
    return msgspec.structs.replace(context, modules=modules, variants=variants, smoke=addon.smoke)


def with_addon_axes(axes: Axes, addon: CustomAddon, *, loads_given: bool) -> Axes:
    """Return the axes with the addon as the only module.

    Raises:
        UsageError: the smoke script cannot run in one of the requested loads.
    """
    loads = axes.loads if loads_given else addon.loads
    for load in loads:
        if load not in {*LOADS, *addon.loads}:
            pool_note = " (a script that exports callAsync() can be run as napi-async too)"
            raise UsageError(
                f"--load {load} is not for an addon of your own: its smoke script loads it",
                hint=f"use {' or '.join(addon.loads)}{pool_note if load == _POOL else ''}",
            )
    return msgspec.structs.replace(axes, modules=(addon.name,), loads=loads)


def loading_note(addon: CustomAddon, results: Sequence[Result]) -> str:
    """Return a note: how many cells mapped the addon, how many had Go, how to keep its guard on."""
    ran = [result for result in results if result.outcome not in {"skip", "error"}]
    mapped = sum(result.mapped for result in ran)
    with_go = sum(result.go for result in ran)
    go = audit.inspect(addon.addon).go
    built = f"it is built with {go.version}" if go else "there is no Go in the file"
    note = (
        f"{addon.addon.name} was seen mapped in {mapped} of {len(ran)} cells, and a Go runtime in "
        f"{with_go}; {built}"
    )
    switched_off = any(result.treatment == "stock" for result in ran)
    if switched_off and embed.has_guard(addon.addon):
        note += "; `stock` switches the guard inside it off, `--treatment built-in` keeps it on"
    return note


def _check_fits(path: Path, target: Target) -> None:
    report = audit.inspect(path)
    if report.target != f"{target.os}-{target.arch}":
        raise UsageError(
            f"{path} is built for {report.target}, and this machine is {host_target().name}",
            hint="give the build for this platform",
        )
    if target.libc == "glibc" and report.libc == "musl":
        raise UsageError(
            f"{path} is linked against musl, and the runtimes here against glibc",
            hint="give the glibc build, or run it with --libc musl",
        )
    if target.libc == "musl" and report.musl is not None and report.musl.problems:
        convert = f"invoke convert-musl {shlex.quote(str(path))}"
        raise UsageError(
            f"{path} does not load on musl: it {'; it '.join(report.musl.problems)}",
            hint=f"convert it: {convert}" if report.go else "give the build for musl",
        )
