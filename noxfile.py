"""Sessions and their environments. A session runs the same task or tool as a person would."""

from __future__ import annotations

import os
from pathlib import Path

import nox
from packaging.tags import platform_tags

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_venv = "yes"

PROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *groups: str) -> None:
    session.install(
        *PROJECT["project"]["dependencies"],
        *nox.project.dependency_groups(PROJECT, *map(installable, groups)),
        silent=True,
    )


def installable(group: str) -> str:
    """Return the group that pip can install here. The one for musl has no Deno and no Go."""
    musl = any(tag.startswith("musllinux") for tag in platform_tags())
    return "toolchain-musl" if musl and group == "toolchain" else group


@nox.session(default=False)
def bun_stock(session: nox.Session) -> None:
    """Run the matrix on stock Bun; arguments after -- go to `invoke matrix`."""
    install(session, "toolchain")
    session.run("invoke", "matrix", "--runtime", "bun", *session.posargs)


@nox.session(default=False)
def bun_patched(session: nox.Session) -> None:
    """Compare patched Bun with stock; arguments after -- go to `invoke matrix-patched`."""
    install(session, "toolchain")
    session.run("invoke", "matrix-patched", *session.posargs)


@nox.session(default=False)
def node(session: nox.Session) -> None:
    """Run the same cells on Node, the control; arguments after -- go to `invoke matrix`."""
    install(session, "toolchain")
    session.run("invoke", "matrix", "--runtime", "node", *session.posargs)


@nox.session(default=False)
def deno(session: nox.Session) -> None:
    """Run the same cells on Deno; arguments after -- go to `invoke matrix`."""
    install(session, "toolchain")
    session.run("invoke", "matrix", "--runtime", "deno", *session.posargs)


@nox.session(default=False)
def vm(session: nox.Session) -> None:
    """Run the matrix in a virtual machine; arguments after -- go to `invoke vm`."""
    install(session, "toolchain")
    session.run("invoke", "vm", *session.posargs, interrupt_timeout=None)


@nox.session(default=False)
def shell(session: nox.Session) -> None:
    """Run any Invoke task: `nox -s shell -- doctor`; without one, list them."""
    install(session, "toolchain")
    # Nox would kill a task 0.5 s after Ctrl-C. A task ends by itself, or with the command it runs.
    session.run("invoke", *(session.posargs or ["--list"]), interrupt_timeout=None)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after -- go to pytest."""
    install(session, "toolchain", "tests")
    # One worker runs all tests of a file, so their shared fixtures are made once. Many tests wait
    # for other processes, so three share two processors. `-n 0` runs everything in this process.
    cores = os.cpu_count() or 1
    workers = ("-n", str(cores + cores // 2), "--dist", "loadfile")
    if session.posargs:
        session.run("pytest", *workers, *session.posargs)
        return
    # The inspector stops threads for fractions of a millisecond, so its tests run alone.
    alone = "tests/integration/test_diagnose_inspector.py"
    session.run("pytest", *workers, f"--ignore={alone}")
    session.run("pytest", "-n", "0", alone)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Show which lines the unit tests run; arguments after -- go to pytest in their place."""
    install(session, "toolchain", "tests", "coverage")
    shown = ("--cov=gobun", "--cov-branch", "--cov-report=term:skip-covered")
    session.run("pytest", "-n", "auto", *shown, *(session.posargs or ["tests/unit"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format of every language, the direction of imports, and the workflows."""
    install(session, "lint", "toolchain")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")
    workflows = sorted(str(path) for path in Path(".github/workflows").glob("*.yml"))
    schemas = {
        "github-workflows": workflows,
        "github-actions": ["action.yml"],
        "dependabot": [".github/dependabot.yml"],
    }
    for schema, paths in schemas.items():
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *paths)
    session.run("zizmor", "--offline", "--quiet", ".")
    session.run("shellcheck", *sorted(str(path) for path in Path("ci").iterdir()), ".ci/run")
    lint_c(session)
    lint_go(session)
    lint_javascript(session)


def lint_c(session: nox.Session) -> None:
    """Check the format of the C, and look for faults in it."""
    folders = ("native", "go", "tests/native", "tests/integration/native")
    sources = [path for folder in folders for path in Path(folder).rglob("*.[ch]")]
    session.run("clang-format", "--dry-run", "-Werror", *sorted(map(str, sources)))
    # cppcheck does not parse register variables and the operands of inline assembly.
    defined = ("-D__linux__", "-D__x86_64__", "-D__asm__(...)=", "-DElfW(x)=Elf64_##x")
    checks = ("--std=c11", "--enable=warning,performance,portability", "--error-exitcode=1")
    known = "--suppressions-list=.cppcheck-suppressions"
    session.run("cppcheck", "--quiet", *checks, known, *defined, *folders)


def lint_go(session: nox.Session) -> None:
    """Check the format of the Go, and look for faults in it."""
    root = str(session.run("go", "env", "GOROOT", silent=True)).strip()
    unformatted = session.run(f"{root}/bin/gofmt", "-l", "go", silent=True, external=True)
    if unformatted:
        session.error(f"gofmt would change:\n{unformatted}")
    # As a module, because the wheel of Zig installs no command.
    compiler = {"CGO_ENABLED": "1", "CC": "python -m ziglang cc"}
    session.run("go", "vet", "-C", "go", "./...", env=compiler)


def lint_javascript(session: nox.Session) -> None:
    """Check the JavaScript, its format, and the types that packages declare."""
    session.run("npm", "ci", "--prefix", "lint", "--ignore-scripts", "--no-audit", "--no-fund")
    tools = Path("lint/node_modules/.bin").absolute()
    session.run(f"{tools}/biome", "check", "--error-on-warnings", ".", external=True)
    session.run(f"{tools}/tsc", "-p", "lint/tsconfig.json", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    install(session, "types")
    session.run("mypy")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation site into site/; arguments after -- go to `mkdocs build`."""
    install(session, "docs")
    # As a module, so that the hooks import `tasks` and `gobun` from this folder.
    session.run("python", "-m", "mkdocs", "build", "--strict", *session.posargs)


@nox.session(default=False)
def torture(session: nox.Session) -> None:
    """Measure how much abuse the suite withstands; after --: --seconds N --out PAGE PART…."""
    install(session, "toolchain", "tests")
    session.run("python", "-m", "benchmarks.torture", *session.posargs)
