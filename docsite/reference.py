"""The reference pages of the site, rendered from the code, so that no copy can drift.

A term's meaning is the docstring below its definition, a flag's help is the one that
``invoke TASK --help`` prints, and an exit code's meaning is the docstring of its error class.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from typing import TYPE_CHECKING

import tasks
from gobun import build, cells, errors
from gobun.cells import records
from gobun.treatments import TREATMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    import msgspec

    from gobun.commands.cli import Command

_INTERRUPTED = 130
_RECORDS: tuple[type[msgspec.Struct], ...] = (
    records.Header,
    records.Host,
    records.Shard,
    records.Result,
)
"""The records of ``results.jsonl``: the header with its parts, then a line for each cell."""


def reference_pages() -> dict[str, str]:
    """Return the path of each reference page in the site, and its Markdown."""
    pages: dict[str, Callable[[], str]] = {
        "reference/tasks.md": tasks_page,
        "reference/matrix.md": matrix_page,
        "reference/results.md": results_page,
        "reference/exit-codes.md": exit_codes_page,
    }
    return {path: render() for path, render in pages.items()}


def tasks_page() -> str:
    """Return the page of all tasks and their flags, in the groups of ``invoke --list``."""
    parts = [
        "# Tasks and flags",
        "Run a task with `.venv/bin/nox -s shell -- TASK`. Other pages write `invoke TASK` for"
        " short. `invoke TASK --help` prints what this page lists.",
    ]
    for title, group in tasks.GROUPS.items():
        parts.append(f"## {title}")
        parts += [_task_section(task) for task in group]
    return "\n\n".join(parts) + "\n"


def _task_section(task: Command) -> str:
    name = task.name.replace("_", "-")
    rows = [
        (", ".join(f"`{_spell_flag(each)}`" for each in argument.names), str(argument.help))
        for argument in task.get_arguments()
    ]
    leading = f" {task.leading.upper()}" if task.leading else ""
    remainder = f" -- {task.remainder.upper()}…" if task.remainder else ""
    parts = [
        f"### {name}",
        markdown_of(inspect.getdoc(task) or ""),
        f"```\ninvoke {name}{leading}{remainder}\n```",
    ]
    if rows:
        parts.append(table(("flag", "meaning"), rows))
    return "\n\n".join(parts)


def _spell_flag(flag: str) -> str:
    """Return a flag in the spelling of the command line."""
    spelled = flag.strip("_").replace("_", "-")
    return f"-{spelled}" if len(spelled) == 1 else f"--{spelled}"


def matrix_page() -> str:
    """Return the page about the parts of a cell and its possible outcomes."""
    scenario = cells.read_scenario()
    documented = constants_of(records)
    default = set(scenario.matrix.stresses)
    stresses = [
        (f"`{name}`", each.asks, _part_of(name in default, apart=each.apart))
        for name, each in scenario.stress.items()
    ]
    return "\n\n".join(
        (
            "# The matrix: names",
            "Every name that the flags of `invoke matrix` take."
            " [The matrix](../matrix.md) explains how to use them.",
            "## Runtimes and modules",
            f"Modules under test: {_join_names(build.FIXTURES)}.",
            "## Loads",
            f"Ways to get a module into a process: {_join_names(cells.LOADS)}.",
            "## Treatments",
            table(("treatment", "what is done"), _treatments()),
            "## Stresses",
            "Each stress is a question that the cell answers after the module is loaded.",
            table(("stress", "question", "runs with"), stresses),
            "## Outcomes",
            f"A cell ends in one of {_join_names(cells.OUTCOMES)}.",
            documented["Outcome"],
            "## Kinds of an outcome",
            documented["Kind"],
            "",
        )
    )


def _treatments() -> list[tuple[str, str]]:
    """Return a row for each summary, with the names of all treatments that share it."""
    names: dict[str, list[str]] = {}
    for each in TREATMENTS.values():
        names.setdefault(each.summary, []).append(each.name)
    return [(_join_names(alike), summary) for summary, alike in names.items()]


def _part_of(default: bool, *, apart: bool) -> str:
    if default:
        return "the default matrix"
    return "`--stress NAME` only" if apart else "`--stress all`"


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def results_page() -> str:
    """Return the schema of ``results.jsonl``."""
    parts = [
        "# The format of results",
        "`results.jsonl` is one JSON object a line: a `Header`, then one `Result` for each cell"
        " in the order in which the cells ended. Every report is made from this file alone.",
    ]
    for record in _RECORDS:
        rows = [(f"`{name}`", f"`{kind}`", meaning) for name, kind, meaning in fields_of(record)]
        parts += [
            f"## {record.__name__}",
            markdown_of(inspect.getdoc(record) or ""),
            table(("field", "type", "meaning"), rows),
        ]
    return "\n\n".join(parts) + "\n"


def exit_codes_page() -> str:
    """Return the page of the exit codes of every task."""
    classes = sorted(errors.GobunError.__subclasses__(), key=lambda each: each.exit_code)
    rows = [("0", "", "Every outcome was as expected, hangs included.")]
    rows += [
        (str(each.exit_code), f"`{each.__name__}`", markdown_of(inspect.getdoc(each) or ""))
        for each in classes
    ]
    rows.append((str(_INTERRUPTED), "", "The task was interrupted with Ctrl-C."))
    return "\n\n".join(
        (
            "# Exit codes",
            "Every task ends with one of these codes. A task that another signal ends exits with"
            " 128 and the number of the signal. An error prints what failed, on which input, and"
            " what to do next.",
            table(("code", "error", "meaning"), rows),
            "",
        )
    )


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table; a line break or a bar in a text does not break a row."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(map(_in_table, line))} |" for line in lines)


def _in_table(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def markdown_of(docstring: str) -> str:
    """Return a docstring as Markdown."""
    return re.sub(r"``(.+?)``", r"`\1`", inspect.cleandoc(docstring))


def constants_of(module: ModuleType) -> dict[str, str]:
    """Return the name of each documented constant of a module, and its docstring as Markdown."""
    return dict(_documented_names(ast.parse(inspect.getsource(module)).body))


def fields_of(record: type[object]) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the type and the meaning of each field of a record."""
    body = ast.parse(textwrap.dedent(inspect.getsource(record))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - for mypy: the source of a class is one
    meanings = dict(_documented_names(body.body))
    for each in body.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            name = each.target.id
            yield name, ast.unparse(each.annotation), meanings.get(name, "")


def _documented_names(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield each name that a docstring follows."""
    for definition, text in itertools.pairwise(body):
        if not (isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)):
            continue
        for target in _targets(definition):
            if isinstance(target, ast.Name):
                yield target.id, markdown_of(str(text.value.value))


def _targets(definition: ast.stmt) -> list[ast.expr]:
    if isinstance(definition, ast.AnnAssign):
        return [definition.target]
    return definition.targets if isinstance(definition, ast.Assign) else []
