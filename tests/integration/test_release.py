"""Releases are really made and checked with other tools, and every forgery is found."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from commands import invoke, succeed
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from fetch_registry import run_registry, sending, status
from machine import SHELL

from gobun import paths, release, toolchain
from gobun.errors import BuildError, FetchError, PrerequisiteError, UsageError
from gobun.release import make, source, verify
from gobun.release.source import SourceState
from gobun.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Forgery = Callable[["Path"], object]

pytestmark = pytest.mark.timeout(600)
VERSION = "1.2.3"
LIBRARY = "go-warmup-linux-x64.so"
SYSTEMS = {"SHA256SUMS": "linux", "SHA256SUMS-darwin": "darwin"}


@pytest.fixture(scope="module")
def release_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("releases") / "dist"
    # A path as users write it, relative to the checkout.
    relative = os.path.relpath(out, paths.ROOT)
    output = succeed(invoke("release", "--version", VERSION, "--out", relative, "--dirty"))
    assert (paths.ROOT / output.strip()).resolve() == out / VERSION
    assert [path.name for path in out.iterdir()] == [VERSION]
    return out / VERSION


@pytest.fixture
def copy(release_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(release_folder, tmp_path / VERSION)
    return tmp_path / VERSION


def read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(path.read_bytes())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def shell(command: str, folder: Path) -> str:
    completed = subprocess.run(
        [SHELL, "-ec", command],
        cwd=folder,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    return succeed(completed)


def test_release_has_libraries_and_guards_for_all_platforms(release_folder: Path) -> None:
    libraries = {
        f"{name}-{target.name}{suffix}"
        for name in ("go-warmup", "go-guard")
        for target in TARGETS.values()
        for suffix in (target.library_suffix, ".h")
    }
    libraries |= {
        f"libgo-guard-{target.name}{suffix}"
        for target in TARGETS.values()
        for suffix in (".a", ".h")
    }
    packages = {f"go-warmup-{target.name}-1.2.3.tgz" for target in TARGETS.values()}
    others = {"manifest.json", "sbom.cdx.json", "provenance.json", "RELEASE_NOTES.md", *SYSTEMS}
    assert {path.name for path in release_folder.iterdir()} == {
        *libraries,
        *others,
        *packages,
        "go-warmup-1.2.3.tgz",
    }


@pytest.mark.parametrize("sums", SYSTEMS)
def test_release_checksums_pass_the_system_tool(release_folder: Path, sums: str) -> None:
    count = 6 * sum(target.os == SYSTEMS[sums] for target in TARGETS.values())
    # Every line is checked. busybox has no --strict, which refuses other lines.
    assert len((release_folder / sums).read_text().splitlines()) == count
    assert shell(f"sha256sum -c {sums}", release_folder).count(": OK\n") == count
    # A downloader that has the list in its own repository, and takes one library and its header.
    for target in (each for each in TARGETS.values() if each.os == SYSTEMS[sums]):
        name = f"go-warmup-{target.name}"
        files = f"{name}{target.library_suffix} {name}.h"
        command = f"""
        folder=$(mktemp -d) && trap 'rm -r "$folder"' EXIT
        cp {files} "$folder" && grep {" ".join(f"-e {file}" for file in files.split())} {sums} \
            > "$folder/SHA256SUM" && cd "$folder" && sha256sum -c SHA256SUM
        """
        assert shell(command, release_folder).splitlines() == [
            f"{file}: OK" for file in sorted(files.split())
        ]


def test_release_bill_of_materials_fits_its_schema(release_folder: Path) -> None:
    text = (release_folder / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.replace("SHA-256", "SHA"))
    bill = json.loads(text)
    hashes = {
        component["name"]: component["hashes"][0]["content"]
        for component in bill["components"]
        if "hashes" in component
    }
    assert hashes[LIBRARY] == sha256((release_folder / LIBRARY).read_bytes())
    inside = {component["ref"]: component["dependsOn"] for component in bill["dependencies"]}
    assert inside["go-guard-linux-x64.so"] == inside["libgo-guard-linux-x64.a"] == []
    assert set(inside["go-warmup-1.2.3.tgz"]) == {
        f"go-guard-{component.name}.so" for component in TARGETS.values() if component.os == "linux"
    }
    assert inside["go-warmup-linux-x64-1.2.3.tgz"] == [LIBRARY]
    assert inside[LIBRARY] == [
        f"std@{read_json(release_folder / 'manifest.json')['libraries'][0]['go']}"
    ]


def test_release_provenance_names_every_file_and_commit(release_folder: Path) -> None:
    stated = read_json(release_folder / "provenance.json")
    assert stated["_type"] == "https://in-toto.io/Statement/v1"
    assert stated["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in stated["subject"]}
    digests = {path.name: sha256(path.read_bytes()) for path in release_folder.iterdir()}
    assert subjects == {k: v for k, v in digests.items() if k != "provenance.json"}
    first = stated["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert first["digest"] == {"gitCommit": shell("git rev-parse HEAD", paths.ROOT).strip()}


def test_release_built_again_is_identical(release_folder: Path) -> None:
    output = succeed(invoke("verify-release", release_folder))
    assert output == f"{release_folder} is go-warmup 1.2.3, 49 files, and comes out the same here\n"


def rewrite(path: Path, change: Callable[[Any], object]) -> None:
    record = read_json(path)
    change(record)
    path.write_text(json.dumps(record))


def repack(folder: Path, name: str, data: bytes, package: str = "go-warmup") -> None:
    """Put other bytes into an npm package."""
    tarball = folder / f"{package}-1.2.3.tgz"
    with tarfile.open(tarball) as archive:
        inside = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    inside[f"package/{name}"] = data
    with tarfile.open(tarball, "w:gz") as archive:
        for each, content in inside.items():
            member = tarfile.TarInfo(each)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def settle(folder: Path) -> None:
    """Make the records agree with the files again, as a forger would."""
    records = {"manifest.json", "provenance.json"}
    payload = {each.name: each for each in sorted(folder.iterdir()) if each.name not in records}
    digests = {name: sha256(path.read_bytes()) for name, path in payload.items()}
    files = [
        {"name": name, "size": path.stat().st_size, "sha256": digests[name]}
        for name, path in payload.items()
    ]
    rewrite(folder / "manifest.json", lambda each: each.update(files=files))
    digests["manifest.json"] = sha256((folder / "manifest.json").read_bytes())
    subject = [{"name": name, "digest": {"sha256": each}} for name, each in sorted(digests.items())]
    rewrite(folder / "provenance.json", lambda each: each.update(subject=subject))


def of_manifest(**change: object) -> Forgery:
    return lambda folder: rewrite(folder / "manifest.json", lambda record: record.update(change))


def of_first_file(**change: object) -> Forgery:
    return lambda folder: rewrite(
        folder / "manifest.json", lambda record: record["files"][0].update(change)
    )


FORGERIES: dict[str, tuple[list[Forgery], str]] = {
    "a bit": ([lambda folder: flip(folder / LIBRARY)], "SHA256SUMS says"),
    "no library": ([lambda folder: (folder / LIBRARY).unlink()], f"{LIBRARY} is missing"),
    "no provenance": (
        [lambda folder: (folder / "provenance.json").unlink()],
        "provenance.json is missing",
    ),
    "no sums": ([lambda folder: (folder / "SHA256SUMS").unlink()], "SHA256SUMS is missing"),
    "a file more": ([lambda folder: (folder / "x.so").write_text("")], "x.so is there, which"),
    "a folder more": ([lambda folder: (folder / "more").mkdir()], "there is a folder"),
    "notes": (
        [lambda folder: (folder / "RELEASE_NOTES.md").write_text("!")],
        "RELEASE_NOTES.md has",
    ),
    "another version": ([of_manifest(version="9.9.9")], "is of another release than"),
    "no version": ([of_manifest(version="../9")], "is not a version"),
    "no libraries": ([of_manifest(libraries=[])], "does not name one library a platform and name"),
    "a size": ([of_first_file(size=1)], "has 1 bytes"),
    "a way out": ([of_first_file(name="../x")], "not the name of a file"),
    "half a manifest": (
        [lambda folder: (folder / "manifest.json").write_text('{"version": "1.2.3", "na')],
        "manifest.json has an unknown form",
    ),
    # In the remaining cases the records agree with each other. A check must still find the fault.
    "sums without headers": (
        [
            lambda folder: (folder / "SHA256SUMS").write_text(
                shell("grep -v '[.]h$' SHA256SUMS", folder)
            ),
            settle,
        ],
        "is there, which SHA256SUMS does not name",
    ),
    "no Go": (
        [lambda folder: (folder / LIBRARY).write_text("no library"), settle],
        f"{LIBRARY}: ",
    ),
    "another guard in the package": (
        [lambda folder: repack(folder, "lib/go-guard-linux-x64.so", b""), settle],
        "go-warmup-1.2.3.tgz has another go-guard-linux-x64.so than the release",
    ),
    "another library in a platform's package": (
        [lambda folder: repack(folder, LIBRARY, b"", "go-warmup-linux-x64"), settle],
        f"go-warmup-linux-x64-1.2.3.tgz has another {LIBRARY} than the release",
    ),
    "no package of a platform": (
        [lambda folder: (folder / "go-warmup-darwin-x64-1.2.3.tgz").unlink(), settle],
        "the npm package go-warmup-darwin-x64-1.2.3.tgz is missing",
    ),
    "another static library": (
        [lambda folder: flip(folder / "libgo-guard-linux-x64.a")],
        "SHA256SUMS says",
    ),
    "other sums in the package": (
        [lambda folder: repack(folder, "sums.json", b"{}"), settle],
        "which sums.json in go-warmup-1.2.3.tgz does not name",
    ),
    "a package of another version": (
        [lambda folder: repack(folder, "package.json", b'{"name":"x","version":"2.0.0"}'), settle],
        "is of x 2.0.0",
    ),
    "no package": (
        [lambda folder: (folder / "go-warmup-1.2.3.tgz").write_text("x"), settle],
        "cannot be read",
    ),
    "another bill": (
        [
            lambda folder: rewrite(folder / "sbom.cdx.json", lambda bom: bom.update(components=[])),
            settle,
        ],
        "which sbom.cdx.json does not name",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_verify_release_forged_file_is_found(copy: Path, forgery: str) -> None:
    steps, reason = FORGERIES[forgery]
    for step in steps:
        step(copy)
    with pytest.raises(FetchError) as caught:
        release.verify_release(str(copy), rebuild=False)
    assert reason in str(caught.value)
    assert caught.value.exit_code == 4


def test_verify_release_changed_notes_need_a_rebuild(
    release_folder: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "RELEASE_NOTES.md").write_text("# go-warmup 1.2.3\n\nTrust me.\n")
    settle(copy)
    release.verify_release(str(copy), rebuild=False)
    # test_release_built_again_is_identical proves that a rebuild gives this.
    again = lambda _, folder: shutil.copytree(release_folder, folder / "dist" / VERSION)  # noqa: E731
    monkeypatch.setattr(verify, "make_again", again)
    with pytest.raises(FetchError, match=r"RELEASE_NOTES\.md comes out differently here"):
        release.verify_release(str(copy), rebuild=True)


def test_verify_release_other_tools_cannot_rebuild(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "pins", lambda: {"go": "1.30.0", "zig": "0.17.0"})
    with pytest.raises(PrerequisiteError, match=r"this checkout has Go 1\.30\.0"):
        release.verify_release(str(copy), rebuild=True)


def test_verify_release_by_url_works(release_folder: Path) -> None:
    with run_registry() as host:
        for path in release_folder.iterdir():
            host.answers[f"/v1.2.3/{path.name}"] = [sending(path.read_bytes())]
        where = f"{host.url}/v1.2.3"
        assert release.verify_release(f"{where}/", rebuild=False).version == VERSION
        host.answers[f"/v1.2.3/{LIBRARY}"] = [sending(b"other")]
        with pytest.raises(FetchError, match="damaged or forged"):
            release.verify_release(where, rebuild=False)
        host.answers["/v1.2.3/manifest.json"] = [status(404)]
        with pytest.raises(FetchError, match="does not have it"):
            release.verify_release(where, rebuild=False)


def test_verify_release_other_folder_is_rejected(tmp_path: Path) -> None:
    for where in (str(tmp_path), str(tmp_path / "none")):
        with pytest.raises(UsageError, match=r"has no manifest\.json"):
            release.verify_release(where, rebuild=False)
    with pytest.raises(UsageError, match="plain http"):
        release.verify_release("http://192.0.2.1/v1", rebuild=False)


def test_release_other_version_is_not_overwritten(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = read_json(copy / "provenance.json")["predicate"]["buildDefinition"]
    first = stated["resolvedDependencies"][0]
    clean = not first.get("annotations")
    state = SourceState(first["digest"]["gitCommit"], is_clean=clean)
    monkeypatch.setattr(make, "read_source", lambda *, allow_changes: state)
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    assert release.make_release(VERSION, copy.parent) == copy
    (copy / LIBRARY).write_text("mine")
    with pytest.raises(UsageError, match=f"differs in: {LIBRARY}"):
        release.make_release(VERSION, copy.parent)
    after = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {LIBRARY}


def test_release_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Path:
        raise BuildError("npm is out of order")

    monkeypatch.setattr(make, "pack_loader", fail)
    with pytest.raises(BuildError):
        release.make_release(VERSION, tmp_path / "dist", allow_changes=True)
    assert list((tmp_path / "dist").iterdir()) == []


def test_release_without_commit_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    with pytest.raises(PrerequisiteError, match="git cannot name the commit"):
        source.read_source(allow_changes=False)
    assert source.read_source(allow_changes=True) == SourceState(None, is_clean=False)
    shell("git init -q . && touch a && git add a", tmp_path)
    shell("git -c user.name=a -c user.email=a@b commit -qm a", tmp_path)
    commit = shell("git rev-parse HEAD", tmp_path).strip()
    assert source.read_source(allow_changes=False) == SourceState(commit, is_clean=True)
    (tmp_path / "b").touch()
    with pytest.raises(PrerequisiteError, match=r"\?\? b"):
        source.read_source(allow_changes=False)
    assert source.read_source(allow_changes=True) == SourceState(commit, is_clean=False)


@pytest.mark.parametrize(
    ("version", "names", "message"),
    [("1.2", [], "not a version"), (VERSION, ["warmup"], "unknown library name")],
)
def test_release_bad_arguments_are_rejected(
    version: str, names: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        release.make_release(version, tmp_path, names=names)
