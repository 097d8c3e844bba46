"""The content-addressed store: equal inputs give one folder, built once, whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gobun import paths
from gobun.build import build_store
from gobun.errors import BuildError, PrerequisiteError

# Two such processes wait for each other's start, and then request the same build.
BUILDER = """
import os, sys
from pathlib import Path
from gobun.build import build_store as store

made = Path(sys.argv[1])
def make(folder):
    with made.open("a") as log:
        log.write(f"{os.getpid()}\\n")
    (folder / "it").write_text("built")
print("ready", flush=True)
sys.stdin.readline()
print(store.built(store.Recipe("thing", (), ()), make))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the repository with one that has a package and a source."""
    root = tmp_path / "checkout"
    (root / "room").mkdir(parents=True)
    (root / "room" / "store.py").write_text("code")
    (root / "source").mkdir()
    (root / "source" / "main.c").write_text("int x;")
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setattr(build_store, "__file__", str(root / "room" / "store.py"))
    return root


def digest(root: Path, name: str = "thing", settings: tuple[str, ...] = ("a", "b")) -> str:
    return build_store.recipe(name, sources=[root / "source"], settings=settings).digest


def test_recipe_of_same_input_is_the_same(checkout: Path) -> None:
    first = digest(checkout)
    (checkout / "room" / "store.pyc").write_text("compiled")
    (checkout / "source" / "main.c").write_text("int x;")
    assert digest(checkout) == first


def test_recipe_ignores_the_checkout_location(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digest(checkout)
    moved = checkout.rename(checkout.with_name("moved else where"))
    monkeypatch.setattr(paths, "ROOT", moved)
    monkeypatch.setattr(build_store, "__file__", str(moved / "room" / "store.py"))
    assert digest(moved) == first


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("source/main.c", "int y;"),
        ("source/more.c", ""),
        ("source/deep/more.h", ""),
        ("room/store.py", "other code"),
        ("room/compile.py", ""),
    ],
)
def test_recipe_changes_with_any_source(checkout: Path, path: str, text: str) -> None:
    first = digest(checkout)
    (checkout / path).parent.mkdir(exist_ok=True)
    (checkout / path).write_text(text)
    assert digest(checkout) != first


def test_recipe_changes_with_the_name(checkout: Path) -> None:
    first = digest(checkout)
    (checkout / "source" / "main.c").rename(checkout / "source" / "other.c")
    assert digest(checkout) != first
    assert digest(checkout, name="x") != digest(checkout, name="y")


@pytest.mark.parametrize("settings", [("a",), ("b", "a"), ("ab",), ("a", "b", ""), ("a", "c")])
def test_recipe_changes_with_any_setting(checkout: Path, settings: tuple[str, ...]) -> None:
    assert digest(checkout, settings=settings) != digest(checkout)


def test_recipe_accepts_a_single_file_as_source(checkout: Path) -> None:
    recipe = build_store.recipe("x", sources=[checkout / "source" / "main.c"], settings=())
    assert [name for name, _ in recipe.sources] == ["source/main.c", "room/store.py"]


def test_store_builds_an_entry_once(cache: Path) -> None:
    recipe = build_store.Recipe("thing", (("a", "b"),), ("c",))
    calls: list[Path] = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "it").write_text("built")

    folder = build_store.built(recipe, make)
    assert build_store.built(recipe, make) == folder == cache / "build" / folder.name
    assert folder.name.startswith("thing-")
    assert len(calls) == 1
    assert (folder / "it").read_text() == "built"
    other = build_store.built(msgspec.structs.replace(recipe, settings=("d",)), make)
    assert other != folder
    assert len(calls) == 2


@pytest.mark.parametrize("error", [BuildError("no"), KeyboardInterrupt(), ValueError("bug")])
def test_store_failed_build_leaves_nothing_and_is_retried(
    cache: Path, error: BaseException
) -> None:
    recipe = build_store.Recipe("thing", (), ())

    def fail(folder: Path) -> None:
        (folder / "half").write_text("")
        raise error

    with pytest.raises(type(error)):
        build_store.built(recipe, fail)
    assert [path for path in (cache / "build").iterdir() if path.is_dir()] == []
    assert list(build_store.built(recipe, lambda folder: (folder / "it").touch()).iterdir()) != []


def test_store_unwritable_cache_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GOBUN_CACHE", str(tmp_path / "file"))
    with pytest.raises(PrerequisiteError, match="cannot write") as raised:
        build_store.built(build_store.Recipe("thing", (), ()), lambda _: pytest.fail("it was made"))
    assert "GOBUN_CACHE" in (raised.value.hint or "")


def test_store_two_processes_build_once(tmp_path: Path, cache: Path) -> None:
    marker = tmp_path / "made"
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(marker)],
            cwd=Path(__file__).parent.parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for builder in builders:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "ready\n"
    for builder in builders:
        assert builder.stdin is not None
        builder.stdin.write("go\n")
        builder.stdin.flush()
    output = {builder.communicate(timeout=60)[0].strip() for builder in builders}
    assert len(output) == 1
    assert len(marker.read_text().splitlines()) == 1
    assert (Path(output.pop()) / "it").read_text() == "built"
