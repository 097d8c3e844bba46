"""A series: an ordered list of patches for one line of Bun releases, read from ``series.toml``.

``patches/<line>/series.toml`` lists the patches in the order in which they apply, and the purpose
of each. The patch itself is ``patches/<line>/<id>.patch``, in the form that ``patch-export``
writes: the output of ``git diff --full-index --no-renames``, without a mail header, and with the
least context (at least one line) that makes every hunk's position unique. The same ``id`` in two
lines is the same change, so lines can be compared.

.. code-block:: toml

    version = "1.2.19"     # the release that the patches are made on; a line is named after it
    about = "The last line that hangs while it idles; Zig, built with CMake"
    zig = "0.11.0"         # a released Zig that compiles the line; omit if it needs upstream's

    [[patch]]
    id = "pool-stacks"
    title = "Give pool threads stacks of 8 MiB"          # the first line of the commit
    why = "C11: Go code in a completion has 4 MiB today" # its body: a claim by id, or a fact
    files = ["src/threading/ThreadPool.zig"]             # exactly what the patch touches
    upstream = "not proposed"       # or "proposed", "merged", "declined"
    upstream_note = ""              # where, when
    emulation = "preload:stack8m"   # the treatment that does this to a stock binary, if any
    functions = ["ThreadPool.init"] # check-bun requires these in the patched files
    warmup_variable = "BUN_GO_WARMUP" # names the warm-up library to the patch; cells set it

    [[patch.changes]]               # the cells it should change; selectors as in expectations
    modules = ["simple"]
    loads = ["napi-async"]
    stresses = ["deep-stack"]
    was = ["crash"]                 # how they end in the stock binary
    outcomes = ["pass"]             # how they end with this patch and those in `beside`
    beside = ["block-signals"]      # other patches that the change needs
    without = ["suspend-any-stack"] # other patches that prevent it

    [[patch.compiled]]              # a constant in the optimised object, for check-bun --object
    functions = 'pool.Pool.(warm|wake)' # a pattern: the whole names of functions that use it
    through = '.*spawn.*'           # a pattern: the names of called functions to follow
    calls = "pthread_attr_setstacksize" # the function that takes the constant
    holds = 8_388_608               # the constant with the patch
    was = 4_194_304                 # the constant without the patch

    [[without]]                     # a change that other lines carry and this one does not
    id = "suspend-any-stack"
    since = "1.4.4"                 # the first upstream release with it; omit if there is none
    why = "the handler no longer compares stack pointers"

A patch with ``kind = "build"`` only makes the sources compile. Every build of the line has it, even
the unpatched one. A patch of WebKit has ``tree = "webkit"``. It is stored and its form is checked,
but it is never applied to a checkout of Bun. A patch without ``changes`` affects no cell.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import semver

from gobun import paths
from gobun.errors import UsageError
from gobun.files import read_input
from gobun.toml_config import read_toml

if TYPE_CHECKING:
    from collections.abc import Collection

FILE_NAME = "series.toml"
TODO_REASON = "TODO: reason"
"""Placeholder for a missing reason, until a person writes one."""

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Upstream = Literal["not proposed", "proposed", "merged", "declined"]
Tree = Literal["bun", "webkit"]
Kind = Literal["change", "build"]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cells that a patch should change. A missing selector selects everything."""

    was: tuple[str, ...]
    """Their outcomes in the stock binary."""
    outcomes: tuple[str, ...]
    """Their outcomes with the patch."""
    beside: tuple[str, ...] = ()
    """Other patches that the change needs in a build. Empty if the patch alone is enough."""
    without: tuple[str, ...] = ()
    """Other patches that prevent the change, such as the cure of a hang that this patch causes."""
    os: Literal["linux", "darwin"] | None = None
    arch: Literal["x64", "arm64"] | None = None
    modules: tuple[str, ...] | None = None
    loads: tuple[str, ...] | None = None
    stresses: tuple[str, ...] | None = None

    def happens_with(self, patches: Collection[str]) -> bool:
        """Return whether the change happens in a build that has its own patch and ``patches``."""
        return set(self.beside) <= set(patches) and set(self.without).isdisjoint(patches)


class Constant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A constant that functions of the compiled object use, directly or in functions they call."""

    functions: str
    """A regular expression that matches their whole names."""
    through: str
    """A regular expression that matches the names of called functions to follow."""
    calls: str
    """The function that takes the constant. They must call it."""
    holds: int
    """The constant that they use with the patch."""
    was: int
    """The constant that they use without the patch."""


class SeriesEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change that a series describes."""

    id: str
    why: str
    """The id of a claim, or a fact."""


class Patch(SeriesEntry, frozen=True, forbid_unknown_fields=True):
    """One change to upstream's sources, and why."""

    title: str
    files: tuple[str, ...]
    upstream: Upstream
    upstream_note: str = ""
    emulation: str = ""
    """The treatment that has the same effect on a stock binary at load time, if any."""
    functions: tuple[str, ...] = ()
    """Functions that the patched files must still define."""
    warmup_variable: str = ""
    """The environment variable that names the warm-up library to the patch, if it calls one."""
    tree: Tree = "bun"
    kind: Kind = "change"
    """``build``: the sources do not compile without it, so every build has it, even the unpatched
    one."""
    changes: tuple[Change, ...] = ()
    compiled: tuple[Constant, ...] = ()


class LeftOutChange(SeriesEntry, frozen=True, forbid_unknown_fields=True):
    """A change that other lines carry, and the reason why this line does not."""

    since: str | None = None
    """The first upstream release with the change, or None if there is none."""


class _SeriesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    about: str
    zig: str = ""
    patch: tuple[Patch, ...] = ()
    without: tuple[LeftOutChange, ...] = ()


class Series(msgspec.Struct, frozen=True):
    """A line's patches in the order in which they apply."""

    folder: Path
    version: str
    """The release that the patches are made on."""
    about: str
    patches: tuple[Patch, ...] = ()
    without: tuple[LeftOutChange, ...] = ()
    zig: str = ""
    """The released Zig that compiles the line, or empty if it needs upstream's own."""

    @property
    def line(self) -> str:
        """The name of the series, which is the name of its folder."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """The path of ``series.toml``."""
        return self.folder / FILE_NAME

    @property
    def bun_patches(self) -> tuple[Patch, ...]:
        """The patches for a checkout of Bun. Patches of WebKit are documentation only."""
        return tuple(patch for patch in self.patches if patch.tree == "bun")

    def file(self, patch: Patch) -> Path:
        """Return the path of a patch."""
        return self.folder / f"{patch.id}.patch"

    def content(self, patch: Patch) -> bytes:
        """Return the bytes of a patch.

        Raises:
            UsageError: the file is missing.
        """
        try:
            return read_input(self.file(patch))
        except UsageError as error:
            raise UsageError(
                f"{self.path}: patch {patch.id!r} has no readable file "
                f"{self.file(patch).name}: {error.what}",
                hint="`invoke patch-export` writes it from the commits of a checkout",
            ) from error

    def check_carries(self, purpose: str) -> None:
        """Reject a line without patches, because its tree equals the release.

        Raises:
            UsageError: the line has none.
        """
        if not self.bun_patches:
            message = f"{self.line} carries no patch, so there is nothing to {purpose}"
            raise UsageError(message, hint=f"{self.path} gives the reason for each change")

    def select_patches(
        self, only: tuple[str, ...] = (), without: tuple[str, ...] = ()
    ) -> tuple[Patch, ...]:
        """Return the patches to apply, in the order of the series, with all ``build`` patches.

        An empty ``only`` selects every patch.

        Raises:
            UsageError: an id is not in the series, or is a patch of WebKit or of the build.
        """
        known_ids = [patch.id for patch in self.bun_patches if patch.kind == "change"]
        for name in (*only, *without):
            if name not in known_ids:
                raise UsageError.unknown(f"patch of the series {self.line}", name, known_ids)
        return tuple(
            patch
            for patch in self.bun_patches
            if patch.kind == "build" or ((not only or patch.id in only) and patch.id not in without)
        )

    @property
    def control_patches(self) -> tuple[Patch, ...]:
        """The patches of the control build: those that the sources need to compile."""
        return tuple(patch for patch in self.bun_patches if patch.kind == "build")


def check_id(name: str, key_path: str) -> str:
    """Return ``name`` if it is a valid patch id.

    Raises:
        UsageError: it is not.
    """
    if not _ID.fullmatch(name):
        raise UsageError(
            f"{key_path}: {name!r} is not an id",
            hint="use lower-case letters and digits, separated by dashes",
        )
    return name


def read_series(folder: Path) -> Series:
    """Read the series of a folder.

    Raises:
        UsageError: it is missing or malformed. The message names the table and the key.
    """
    path = folder / FILE_NAME
    content = read_toml(path, _SeriesFile)
    if not semver.Version.is_valid(content.version):
        raise UsageError(
            f"{path}: version = {content.version!r} is not a release of Bun",
            hint="write it like 1.3.14",
        )
    ids: set[str] = set()
    entries: tuple[SeriesEntry, ...] = (*content.patch, *content.without)
    for entry in entries:
        check_id(entry.id, str(path))
        if entry.id in ids:
            raise UsageError(f"{path}: the id {entry.id!r} is used twice", hint="use each id once")
        ids.add(entry.id)
    for patch in content.patch:
        for constant in patch.compiled:
            _check_patterns(constant, f"{path}: {patch.id}")
    return Series(
        folder, content.version, content.about, content.patch, content.without, content.zig
    )


def _check_patterns(constant: Constant, key_path: str) -> None:
    """Reject an invalid pattern before the object is compiled, because that takes long.

    Raises:
        UsageError: a pattern is not a regular expression.
    """
    for text in (constant.functions, constant.through):
        try:
            re.compile(text)
        except re.error as error:
            raise UsageError(
                f"{key_path}: {text!r} is not a regular expression: {error}",
                hint='put a backslash before a "+" or a bracket',
            ) from error


def series_named(line: str, root: Path | None = None) -> Series:
    """Return the series called ``line``, such as ``v1.2.19``. The ``v`` is optional.

    Raises:
        UsageError: there is no such series, or it is malformed.
    """
    known_lines = lines(root)
    name = line if line in known_lines or line.startswith("v") else f"v{line}"
    if name not in known_lines:
        raise UsageError.unknown("series", line, known_lines)
    return read_series((root or paths.PATCHES) / name)


def lines(root: Path | None = None) -> list[str]:
    """Return the names of all series, oldest line first."""
    folder = root or paths.PATCHES
    names = [path.parent.name for path in folder.glob(f"*/{FILE_NAME}")]
    return sorted(names, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])
