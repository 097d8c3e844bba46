"""Every command in a fenced block parses. A test runs it, or a table gives the reason why not."""

from __future__ import annotations

import ast
import contextlib
import fnmatch
import io
import re
from typing import TYPE_CHECKING

import documented
import pytest
from documented import Block, Command
from invoke.collection import Collection
from invoke.exceptions import Exit

import noxfile
import tasks
from gobun import paths, treatments
from gobun.commands.program import TaskProgram

if TYPE_CHECKING:
    from invoke.parser.context import ParserContext

COMMANDS = documented.commands()
SESSIONS = {
    "bun_stock": "matrix",
    "node": "matrix",
    "deno": "matrix",
    "bun_patched": "matrix-patched",
}


def parse_words(words: list[str]) -> ParserContext:
    """Parse the words of one task as `invoke` does, without running it."""
    program = TaskProgram(namespace=Collection.from_module(tasks))
    program.groups = tasks.GROUPS
    program.create_config()
    program.parse_core(["invoke", *words])
    program.parse_collection()
    with contextlib.redirect_stdout(io.StringIO()):
        program.parse_tasks()
    context: ParserContext = program.tasks[0]
    return context


def wrong_choices(context: ParserContext) -> list[str]:
    """Return the values of flags that are not among the choices in their help."""
    wrong = []
    for argument in {id(each): each for each in context.args.values()}.values():
        choices = str(argument.help).partition("choices: ")[2].removesuffix(")").split(", ")
        if choices == [""] or not isinstance(argument.value, str) or not argument.value:
            continue
        values = argument.value.split(",")
        allowed = set(choices)
        if argument.name == "treatment":
            values = treatments.expand_names(values)
        wrong += [f"{argument.name} {value}" for value in values if value not in allowed]
    return wrong


def problem_of(command: Command) -> str:
    """Return the reason why a command cannot work as printed, or an empty text."""
    words = command.arguments
    if words[0] == "pytest":
        return problem_of_tests(words[1:])
    if words[0] == "bash":
        return "" if (paths.ROOT / words[1]).is_file() else f"there is no {words[1]}"
    if words[0] in {"nox", ".venv/bin/nox"}:
        return problem_of_session(words[1:])
    return problem_of_task(words[1:]) if words[0] == "invoke" else ""


def problem_of_session(words: list[str]) -> str:
    if words == ["-l"]:
        return ""
    rest = words[words.index("--") + 1 :] if "--" in words else []
    sessions = [word for word in words[: len(words) - len(rest)] if word not in {"-s", "--"}]
    unknown = [name for name in sessions if not hasattr(noxfile, name)]
    if unknown:
        return f"there is no session {', '.join(unknown)}"
    if sessions == ["tests"]:
        return problem_of_tests(rest)
    if sessions == ["shell"]:
        return problem_of_task(rest) if rest else ""
    return problem_of_task([SESSIONS[sessions[0]], *rest]) if sessions[0] in SESSIONS else ""


def problem_of_task(words: list[str]) -> str:
    try:
        context = parse_words(words)
    except Exit as error:
        return str(error.message)
    return ", ".join(wrong_choices(context))


def problem_of_tests(words: list[str]) -> str:
    if "-k" not in words:
        return next(
            (f"there is no {word}" for word in words if not (paths.ROOT / word).exists()), ""
        )
    path, expression = paths.ROOT / words[0], words[words.index("-k") + 1]
    names = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    ids = [*names, *re.findall(r'id="([^"]+)"|ids=\[([^\]]+)\]', path.read_text())]
    return (
        "" if any(expression in str(name) for name in ids) else f"-k {expression} selects no test"
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: f"{each.page}:{each.line}")
def test_documented_command_parses(command: Command) -> None:
    assert problem_of(command) == "", command.text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("invoke matrix --versoins latest", "did you mean: --version"),
        ("invoke matrix --stress idel", "stress idel"),
        ("invoke matrix --treatment stock,gc-signal:13", "treatment gc-signal:13"),
        (".venv/bin/nox -s bun_stick -- --versions latest", "no session bun_stick"),
        ("nox -s shell -- embed-guard", "embed-guard needs"),
        ("nox -s tests -- tests/unit/test_gone.py", "no tests/unit/test_gone.py"),
        ("pytest tests/unit/test_errors.py -k no_such_name", "selects no test"),
        ("bash ci/gone", "no ci/gone"),
        ("PATH=x invoke matrix --module simple --load ffi --treatment preload", ""),
    ],
)
def test_wrong_command_is_found(text: str, problem: str) -> None:
    message = problem_of(Command("page.md", 1, text))
    assert problem in message
    assert bool(message) == bool(problem)


def test_commands_of_block_skip_output_and_join_lines() -> None:
    shown = "$ invoke a \\\n    --b 1   # why\noutput $ x\n$ node c && bun d\n"
    commands = documented.commands_of(Block("p", 1, "", shown))
    assert [each.text for each in commands] == ["invoke a --b 1", "node c", "bun d"]
    assert list(documented.commands_of(Block("p", 1, "", "bun@1.2.19 hangs\n"))) == []


def test_blocks_with_output_mark_their_commands() -> None:
    assert documented.mixes_output(Block("p", 1, "", "invoke a\noutput\n"))
    assert not documented.mixes_output(Block("p", 1, "", "$ invoke a\nbun says\n"))
    mixed = [block for block in documented.blocks() if documented.mixes_output(block)]
    assert [(block.page, block.line) for block in mixed if not block.kind] == []


def test_rows_of_the_table_all_match_a_command() -> None:
    table = documented.table()
    texts = {command.text for command in COMMANDS}
    patterns = [pattern for each in table.not_run for pattern in each.commands]
    assert [p for p in patterns if not any(fnmatch.fnmatchcase(text, p) for text in texts)] == []
    assert [text for text in table.exit_codes if text not in texts] == []
    assert any(not documented.reason_of(command) for command in COMMANDS)


def test_tutorial_commands_all_run() -> None:
    tutorial = [each for each in COMMANDS if each.page == "docs/tutorial.md"]
    reasons = {documented.reason_of(command) for command in tutorial}
    assert reasons == {"", "sets up an environment from PyPI"}
