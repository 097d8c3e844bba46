"""The tasks for Bun's sources from the command line: their output and their exit codes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import bun_upstream as up
import msgspec
from commands import copy_checkout, invoke, succeed

from gobun import bun_source, paths, runtimes
from gobun.commands import bun_builds
from gobun.targets import host_target

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "1.2.19"


def checkout_without_patches(to: Path) -> Path:
    """Copy a checkout, with those of its claims that name no patch."""
    copy_checkout(to)
    (to / "claims").mkdir()
    claims = (paths.ROOT / "claims" / "claims.toml").read_text()
    without = re.sub(r"^(without_)?patch = .*\n", "", claims, flags=re.MULTILINE)
    (to / "claims" / "claims.toml").write_text(without)
    return to


def test_patch_from_first_edit_to_preflight_works(tmp_path: Path) -> None:
    stock = runtimes.provide_bun([VERSION], host_target())[0].program
    root = checkout_without_patches(tmp_path / "a copy")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "npm").symlink_to(paths.cache_root() / "npm")
    upstream = up.make_upstream(tmp_path / "upstream", up.GOLDEN / "build")
    env = {"GOBUN_CACHE": str(cache), "HOME": str(tmp_path)}

    def run(*words: str | Path, code: int = 0) -> str:
        completed = invoke(*words, root=root, env=env)
        if code == 0:
            return succeed(completed)
        assert completed.returncode == code, (
            f"{completed.args}\n{completed.stdout}\n{completed.stderr}"
        )
        return completed.stderr + completed.stdout

    assert "did you mean" in run("fetch-bun", "--version", "1.2.91", code=2)
    assert "has no commit" in run(
        *("fetch-bun", "--version", VERSION, "--source", upstream.folder), code=4
    )
    # The released binary determines the commit of the release.
    table = root / "gobun" / "bun_source" / "commits.toml"
    old_table = table.read_text()
    table.write_text(
        old_table.replace(bun_source.commit_of_release(VERSION).commit, upstream.commit)
    )
    output = run("fetch-bun", "--version", VERSION, "--source", upstream.folder, code=4)
    assert f"is built from aad3abead, not from {upstream.commit}" in output
    table.write_text(old_table)
    output = run(
        *("fetch-bun", "--version", VERSION, "--source", upstream.folder),
        *("--ref", upstream.commit, "--discard"),
    )
    tree = up.tree_of(cache, VERSION)
    assert output.splitlines()[0] == str(tree)
    assert f"commit {upstream.commit}, not known to be the release" in output

    (tree / "src/pool.h").write_text("#define POOL_STACK_MIB 8\n")
    series = ("--series", f"v{VERSION}")
    arguments = ("patch-new", *series, "--id", "pool-stacks", "--title", "Give pool threads more")
    assert "wrote v1.2.19/pool-stacks.patch" in run(*arguments)
    assert "pool-stacks needs a reason" in run("patch-lint", code=2)
    toml = root / "patches" / f"v{VERSION}" / "series.toml"
    toml.write_text(toml.read_text().replace("TODO: reason", "C11: they have 4 MiB"))
    assert run("patch-lint") == "1 series, nothing wrong\n"
    assert "applied pool-stacks" in run("patch-bun", *series)
    assert run("patch-export", *series) == "v1.2.19: 1 patch, as it was\n"

    patch = toml.parent / "pool-stacks.patch"
    whole = patch.read_text()
    patch.write_text(whole.replace("-#define POOL_STACK_MIB 4", "-#define POOL_STACK_MIB 5"))
    output = run("patch-bun", *series, code=5)
    assert "src/pool.h, hunk 1 (line 1)" in output
    patch.write_text(whole)

    output = run("build-bun", *series, "--preflight", code=3)
    assert f"{VERSION}, fetched by this suite" in output
    assert "host.invalid: answers wanted, no connection" in output
    output = run("build-bun", *series, "--preflight", "--json", code=3)
    document = msgspec.json.decode(output.splitlines()[-1], type=bun_builds.BuildReport)
    states = {row.name: row.state for row in document.prerequisites}
    assert (states["host.invalid"], document.registered) == ("missing", None)
    assert "byte for byte" in run("register-bun", stock, *series, code=2)
    assert "emulation to run instead" in run("matrix-patched", code=3)
