"""Every flag of every task has a help text, and every task is in one group."""

from __future__ import annotations

import collections
import inspect
import re

import pytest
from invoke.tasks import Task

import tasks
from gobun import paths
from gobun.cells import LOADS, read_scenario
from gobun.commands import flag_help
from gobun.runtimes import RUNTIMES
from gobun.targets import TARGETS

TASKS = {name: each for name, each in vars(tasks).items() if isinstance(each, Task)}


def help_of(task: str) -> dict[str, str]:
    return {str(each.name): str(each.help) for each in TASKS[task].get_arguments()}


@pytest.mark.parametrize("name", TASKS)
def test_flag_help_covers_every_flag_and_default(name: str) -> None:
    for argument in TASKS[name].get_arguments():
        text = argument.help or ""
        assert re.search(r"^\S.*\((required|default: [^;)]+)", text), (argument.name, text)
        if isinstance(argument.default, str) and argument.default:
            assert f"default: {argument.default}" in text
    assert help_of(name) == help_of(name), "Invoke empties the help that it has read"


def test_flag_choices_come_from_the_code() -> None:
    flags = help_of("matrix")
    stresses = {"all", *read_scenario().stress}
    for name, choices in {"load": LOADS, "runtime": RUNTIMES, "stress": stresses}.items():
        listed = flags[name].partition("choices: ")[2].removesuffix(")").split(", ")
        assert (set(listed), len(listed)) == (set(choices), len(choices))
    assert "; choices: " + ", ".join(TARGETS) in help_of("build_warmup")["target"]
    assert "asherah" in help_of("benchmark")["name"]


def test_flag_table_has_no_unused_row() -> None:
    used = collections.defaultdict(set)
    for each in TASKS.values():
        for name in each.argspec(each.body).parameters:
            used[each.name.replace("_", "-")].add(name.strip("_").replace("_", "-"))
    shared = set()
    for task, flags in used.items():
        task_flags = flag_help.TASK_FLAGS.get(task, {}).keys()
        assert task_flags <= flags, task
        shared |= flags - task_flags
    assert flag_help.TASK_FLAGS.keys() <= used.keys()
    assert flag_help.SHARED_FLAGS.keys() == shared


def test_flag_without_a_row_is_rejected() -> None:
    unknown = inspect.Parameter("unknown", inspect.Parameter.KEYWORD_ONLY, default="")
    with pytest.raises(KeyError, match="unknown"):
        flag_help.flag_help("matrix", [unknown])
    unexplained = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default="")
    with pytest.raises(ValueError, match="does not explain"):
        flag_help.flag_help("matrix", [unexplained])


def test_task_groups_hold_every_task_once() -> None:
    names = [each.name for group in tasks.GROUPS.values() for each in group]
    assert sorted(names) == sorted(TASKS) == sorted(tasks.__all__)
    page = (paths.ROOT / "docs" / "commands.md").read_text()
    listed: dict[str, set[str]] = {}
    for row in re.findall(r"^\| (.*?) \|", page.partition("## Tasks")[2], re.MULTILINE):
        if row.startswith("**"):
            listed[row.strip("*").lower()] = set()
        elif listed and row.startswith("`"):
            listed[[*listed][-1]] |= {each.split()[0] for each in re.findall(r"`(.*?)`", row)}
    groups = {
        title.lower(): {each.name.replace("_", "-") for each in group}
        for title, group in tasks.GROUPS.items()
    }
    assert listed == groups
