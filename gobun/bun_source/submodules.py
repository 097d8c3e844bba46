"""Fetches the submodules of a checkout: the C libraries that older Buns compile.

git stores a submodule as the id of a commit in the tree, and its address in ``.gitmodules``. A
submodule is fetched into the shared store and checked against that commit id. Then its folder
appears in one step, so an interrupted fetch leaves either all of it or nothing.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from gobun import console, files
from gobun.bun_source.checkout import write_files
from gobun.bun_source.git import GitError
from gobun.bun_source.import_source import check_archived, import_commit
from gobun.bun_source.layout import is_built
from gobun.bun_source.origin import Origin, parse_origin
from gobun.errors import FetchError, UsageError

if TYPE_CHECKING:
    from gobun.bun_source.checkout import Checkout
    from gobun.bun_source.git import Git

_LINK = "160000"
"""The mode with which git marks a submodule in a tree."""
_SETTING = re.compile(r"submodule\.(?P<name>.+)\.(?P<key>path|url|update)")
_MARK = ".gobun-submodule"
"""The file in a submodule's folder that records its commit."""
_HINT = "give --submodules NAME=SOURCE, or a folder that has a repository NAME or NAME.git"


class Submodule(msgspec.Struct, frozen=True):
    """A repository that a commit pins at a path in its tree."""

    path: str
    """Its folder, relative to the root of the checkout."""
    commit: str
    url: str
    optional: bool
    """Whether upstream skips it by default (``update = none``)."""

    @property
    def name(self) -> str:
        """The last part of its address, which is its name in `--submodules`."""
        return self.url.rstrip("/").rpartition("/")[2].removesuffix(".git")


class FilledSubmodule(msgspec.Struct, frozen=True):
    """The state of one submodule after a fetch."""

    submodule: Submodule
    there_before: bool
    missing: tuple[str, ...] = ()
    """Files that a build may read and the source lacks, relative to the root of the checkout."""
    nested: tuple[str, ...] = ()
    """Submodules of this submodule. They are not fetched."""


def read_submodules(git: Git, commit: str) -> tuple[Submodule, ...]:
    """Return the submodules that ``commit`` pins, sorted by path.

    Raises:
        FetchError: ``.gitmodules`` cannot be read or names no address for one of them, or a path
            leads out of the checkout.
    """
    links = dict(_links(git, commit))
    if not links:
        return ()
    settings = _settings(git, commit)
    by_path = {each["path"]: each for each in settings.values() if "path" in each}
    submodules = []
    for path, pinned in sorted(links.items()):
        recorded = by_path.get(path, {})
        if "url" not in recorded:
            raise FetchError(
                f"commit {commit[:12]} has a submodule {path}, but .gitmodules has no address "
                "for it",
                hint="give a --source with the whole commit",
            )
        _check_path(path, commit)
        submodules.append(
            Submodule(path, pinned, recorded["url"], recorded.get("update") == "none")
        )
    return tuple(submodules)


def _check_path(path: str, commit: str) -> None:
    """Reject a path that leads out of the checkout.

    Raises:
        FetchError: the path leads out of it.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or {"..", ".git"} & set(parts):
        raise FetchError(
            f"the submodule {path!r} of commit {commit[:12]} leads out of the tree",
            hint="give a --source that you trust; this one is damaged or hostile",
        )


def _links(git: Git, commit: str) -> list[tuple[str, str]]:
    entries = git("ls-tree", "-r", "-z", commit).split("\0")
    pairs = [entry.split("\t", 1) for entry in entries if entry.startswith(_LINK)]
    return [(path, about.split(" ")[2]) for about, path in pairs]


def _settings(git: Git, commit: str) -> dict[str, dict[str, str]]:
    try:
        config_text = git("config", "--blob", f"{commit}:.gitmodules", "-z", "--list")
    except GitError as error:
        raise FetchError(
            f".gitmodules of commit {commit[:12]} cannot be read: {error.reason}",
            hint="give a --source that has the whole commit",
        ) from error
    settings: dict[str, dict[str, str]] = {}
    for entry in config_text.split("\0"):
        key, _, value = entry.partition("\n")
        match = _SETTING.fullmatch(key)
        if match:
            settings.setdefault(match["name"], {})[match["key"]] = value
    return settings


class Sources(msgspec.Struct, frozen=True):
    """Origins of submodules that override the addresses in ``.gitmodules``."""

    folder: Path | None = None
    """A folder with repositories that are named after the submodules."""
    named: Mapping[str, Origin] = {}

    def origin_of(self, submodule: Submodule) -> Origin:
        """Return the origin of ``submodule``.

        Raises:
            UsageError: the folder has no repository of that name.
        """
        if submodule.name in self.named:
            return self.named[submodule.name]
        if self.folder is None:
            return Origin("url", submodule.url)
        for name in (submodule.name, f"{submodule.name}.git"):
            if (self.folder / name).exists():
                return parse_origin(str(self.folder / name), "--submodules")
        raise UsageError(
            f"{self.folder} has no repository {submodule.name} for the submodule {submodule.path}",
            hint=_HINT,
        )


def parse_sources(arguments: tuple[str, ...]) -> Sources:
    """Parse ``--submodules``: a folder of repositories, NAME=SOURCE pairs, or both.

    Raises:
        UsageError: a word is neither a folder nor a pair, or there are two folders.
    """
    folder: Path | None = None
    named: dict[str, Origin] = {}
    for word in arguments:
        name, is_pair, source = word.partition("=")
        if is_pair and "/" not in name:
            named[name] = parse_origin(source, "--submodules")
        elif not Path(word).is_dir():
            raise UsageError(f"--submodules {word}: there is no such folder", hint=_HINT)
        elif folder is not None:
            raise UsageError(f"--submodules {word}: {folder} is given already", hint=_HINT)
        else:
            folder = Path(word).absolute()
    return Sources(folder, named)


def check_names(sources: Sources, submodules: tuple[Submodule, ...]) -> None:
    """Reject a NAME=SOURCE pair that matches no submodule of the checkout.

    Raises:
        UsageError: a pair matches none.
    """
    known_names = sorted(submodule.name for submodule in submodules)
    for name in sources.named:
        if name not in known_names:
            raise UsageError.unknown("submodule", name, known_names)


def fill_submodules(checkout: Checkout, sources: Sources) -> list[FilledSubmodule]:
    """Fetch every missing submodule of ``checkout``, optional ones only if ``sources`` names them.

    Raises:
        UsageError: a folder is in the way, or ``sources`` does not fit the checkout.
        FetchError: a source cannot be read or lacks the commit.
        PrerequisiteError: the disk is full.
    """
    submodules = read_submodules(checkout.git, checkout.base)
    check_names(sources, submodules)
    return [
        _fill(checkout, submodule, sources)
        for submodule in submodules
        if not submodule.optional or submodule.name in sources.named
    ]


def submodule_folders(checkout: Checkout) -> dict[str, Path | None]:
    """Return the folder of each submodule that a build needs, or None if it is missing."""
    return {
        each.path: checkout.folder / each.path if _is_there(checkout, each) else None
        for each in read_submodules(checkout.git, checkout.base)
        if not each.optional
    }


def missing_submodules(checkout: Checkout) -> tuple[str, ...]:
    """Return the folders of missing submodules that a build needs.

    A checkout made from an archive pins no commits of submodules. In it, every empty folder that
    ``.gitmodules`` names counts as missing.
    """
    git, base = checkout.git, checkout.base
    pinned = read_submodules(git, base)
    if pinned:
        lacking = [each for each in pinned if not each.optional and not _is_there(checkout, each)]
        return tuple(each.path for each in lacking)
    if not git.succeeds("cat-file", "-e", f"{base}:.gitmodules"):
        return ()
    named = [each for each in _settings(git, base).values() if each.get("update") != "none"]
    folders = sorted(each["path"] for each in named if "path" in each)
    return tuple(path for path in folders if not any((checkout.folder / path).glob("*")))


def _fill(checkout: Checkout, submodule: Submodule, sources: Sources) -> FilledSubmodule:
    if _is_there(checkout, submodule):
        return _describe_submodule(checkout, submodule, there_before=True)
    folder = checkout.folder / submodule.path
    if not (folder / _MARK).exists() and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty, and not at commit {submodule.commit[:12]} of {submodule.name}",
            hint="move it away, or check out that commit there",
        )
    origin = sources.origin_of(submodule)
    console.log(f"fetching the submodule {submodule.path}")
    try:
        fetched = import_commit(checkout.store, origin, submodule.commit, submodule.commit)
    except FetchError as error:
        raise FetchError(f"the submodule {submodule.path}: {error.what}", hint=_HINT) from error
    if origin.kind == "archive":
        check_archived(origin, submodule.commit, must_match=True)
    _write(checkout, submodule, fetched)
    return _describe_submodule(checkout, submodule, there_before=False)


def _describe_submodule(
    checkout: Checkout, submodule: Submodule, *, there_before: bool
) -> FilledSubmodule:
    """Describe a submodule from the store. One that a person checked out has no missing files."""
    store = checkout.store
    commit = store.git.commit_of(_ref(submodule))
    if commit is None:
        return FilledSubmodule(submodule, there_before)
    submodule_path = PurePosixPath(submodule.path)
    missing = (str(submodule_path / path) for path in store.missing_paths(commit))
    nested = tuple(str(submodule_path / path) for path, _ in _links(store.git, commit))
    return FilledSubmodule(submodule, there_before, tuple(filter(is_built, missing)), nested)


def _write(checkout: Checkout, submodule: Submodule, fetched: str) -> None:
    """Write the files of a fetched commit to the checkout, as a whole folder."""
    store = checkout.store
    folder = checkout.folder / submodule.path
    missing = set(store.missing_paths(fetched))
    # Stage it beside git's own files, so that leftovers of a killed run stay out of the checkout.
    waiting = checkout.git.private_folder / "gobun-submodule"
    for leftover in waiting.parent.glob(f".{waiting.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with files.temporary_sibling(waiting) as staged:
        tree = staged / "new"
        with files.disk_errors(folder):
            tree.mkdir()
        write_files(checkout.git, fetched, tree, lambda path: path not in missing)
        with files.disk_errors(folder):
            (tree / _MARK).write_text(f"{submodule.commit}\n")
            if folder.is_dir():
                folder.rename(staged / "old")
            folder.parent.mkdir(parents=True, exist_ok=True)
            tree.rename(folder)
    store.git("update-ref", _ref(submodule), fetched)


def _is_there(checkout: Checkout, submodule: Submodule) -> bool:
    """Return whether the submodule is there at its commit, from the suite or from a person."""
    folder = checkout.folder / submodule.path
    mark = folder / _MARK
    if mark.is_file():
        return mark.read_text().strip() == submodule.commit
    if not (folder / ".git").exists():
        return False
    submodule_git = msgspec.structs.replace(checkout.git, folder=folder)
    return submodule_git.commit_of("HEAD") == submodule.commit


def _ref(submodule: Submodule) -> str:
    """Return the reference that keeps a submodule's commit in the store."""
    return f"refs/gobun/submodule/{submodule.commit}"
