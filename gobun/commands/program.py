"""Changes to Invoke's own program: grouped tasks, near matches, and words without a flag.

Invoke has no setting for any of these, and `invoke` starts its own program object before it reads
``tasks.py``. So ``tasks.py`` gives that object this class.
"""

from __future__ import annotations

import re
import sys
import textwrap
from typing import TYPE_CHECKING, NoReturn

import invoke.main
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser
from invoke.program import Program
from invoke.terminals import pty_size
from invoke.util import helpline

from gobun.commands.endings import quiet_without_reader
from gobun.console import print_result
from gobun.errors import UsageError
from gobun.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoke.parser.context import ParserContext

    from gobun.commands.cli import Command

_START = """\
Where to start:

  invoke doctor           lists the tools that are installed and those that are missing
  invoke matrix           runs the default matrix and writes the report to report/
  invoke diagnose PID     explains why a process hangs and what helps
  invoke TASK --help      lists the flags of a task, with their defaults and choices
"""
_HELP_FLAGS = ("--help", "-h")
_LEAST_COLUMN = 30
_FLAG = re.compile(r"--?[A-Za-z][\w-]*")


class TaskProgram(Program):
    """Invoke's program with the tasks of this project."""

    groups: Mapping[str, Sequence[Command]]
    """The tasks of each group by its title, in the order in which `invoke --list` prints them."""

    def no_tasks_given(self) -> None:
        """Print where to start, then every task."""
        print_result(_START)
        self.list_tasks()
        raise Exit

    def list_flat(self) -> None:
        """Print the tasks by group."""
        named = {
            title: [(task.name.replace("_", "-"), helpline(task)) for task in group]
            for title, group in self.groups.items()
        }
        width = max(len(name) for pairs in named.values() for name, _ in pairs)
        for title, pairs in named.items():
            print_result(f"{title}:\n")
            self.print_columns([(name.ljust(width), text) for name, text in pairs])

    def print_columns(self, tuples: Sequence[tuple[str, str | None]]) -> None:
        """Print names and texts in two columns. A line never breaks at a hyphen."""
        start = max(len(name) for name, _ in tuples) + self.leading_indent_width + self.col_padding
        width = max(pty_size()[0] - start - 1, _LEAST_COLUMN)
        for name, text in tuples:
            lines = textwrap.wrap(text or "", width, break_on_hyphens=False) or [""]
            print_result(
                f"{self.leading_indent}{name}".ljust(start) + f"\n{' ' * start}".join(lines)
            )
        print_result("")

    def parse_tasks(self) -> None:
        """Parse the tasks. If that fails, print the near matches and end with exit code 2."""
        try:
            contexts = {str(each.name): each for each in self.collection.to_contexts()}
            words = list(self._with_flags(self.core.unparsed, contexts))
            self.core.unparsed = [] if self.args.help.value else words
            try:
                super().parse_tasks()
            except ParseError as error:
                self._reject(error, contexts)
            for context in self.tasks:
                self._check_positional(context)
            help_topic = self.args.help.value
            if isinstance(help_topic, str) and help_topic not in contexts:
                raise UsageError.unknown("task", help_topic, contexts)
            self._take_remainder()
        except UsageError as error:
            message = printable(f"error: {error}", kept_characters="\n")
            raise Exit(message, code=error.exit_code) from None

    def parse_cleanup(self) -> None:
        """Print help or the list, and end quietly when its reader has gone."""
        with quiet_without_reader():
            try:
                super().parse_cleanup()
            except Exit:  # Invoke raises it after printing
                sys.stdout.flush()
                raise

    def _with_flags(
        self, words: Sequence[str], contexts: Mapping[str, ParserContext]
    ) -> Iterator[str]:
        """Yield the words, and insert a flag before the words that follow the name of a task.

        At a request for the help of a task, stop and record the task's name. Invoke fixes the
        number of words without a flag. Here a task may take any number.
        """
        context: ParserContext | None = None
        leading, last = "", ""
        for word in words:
            is_flag = word.startswith("-")
            if leading and not is_flag:
                yield from (leading, word)
                if context and context.flags[leading].kind is not list:
                    leading = ""
                continue
            leading = ""
            # Not `flags.get`, which does not find the aliases. The short flags are aliases.
            flag = context.flags[last] if context and last in context.flags else None
            if not (flag and flag.takes_value):
                if context and word in _HELP_FLAGS:
                    # Invoke would take it as the value of a required flag.
                    self.args.help.value = context.name
                    return
                if word in contexts:
                    context = contexts[word]
                    name = self._command(word).leading
                    leading = f"--{name}" if name else ""
            yield word
            last = word

    def _command(self, name: str) -> Command:
        command: Command = self.collection[name]
        return command

    def _take_remainder(self) -> None:
        """Give the words after ``--`` to the last task.

        Raises:
            UsageError: that task takes none.
        """
        if not self.tasks or "--" not in self.argv:
            return
        context = self.tasks[-1]
        name = self._command(str(context.name)).remainder
        if not name:
            raise UsageError(f"{context.name} takes nothing after --", hint="leave out --")
        for word in self.argv[self.argv.index("--") + 1 :]:
            context.args[name].value = word

    def _check_positional(self, context: ParserContext) -> None:
        """Reject a flag that Invoke took as the value of a required one.

        Raises:
            UsageError: there is one. The error lists the near matches.
        """
        for argument in context.positional_args:
            if isinstance(argument.value, str) and _FLAG.fullmatch(argument.value):
                self._reject_flag(context, argument.value)

    def _reject_flag(self, context: ParserContext, flag: str) -> NoReturn:
        known_flags = [*context.flags, *context.inverse_flags, "--help"]
        kind = f"{context.name} flag" if context.name else "flag"
        raise UsageError.unknown(
            kind, flag, dict.fromkeys(name for name in known_flags if name.startswith("--"))
        )

    def _reject(self, error: ParseError, contexts: Mapping[str, ParserContext]) -> NoReturn:
        """Explain why Invoke could not parse the words.

        Raises:
            UsageError: always.
        """
        context = error.context or self.initial_context
        self._check_positional(context)
        words = self.core.unparsed
        missing = [f"--{each.names[0]}" for each in context.missing_positional_args]
        unknown = self._first_unknown(words, contexts)
        if unknown.startswith("-"):
            self._reject_flag(context, unknown)
        if unknown and context.name:
            raise UsageError(
                f"{context.name} does not take {unknown!r}, and no task has this name",
                hint=f"`invoke {context.name} --help` lists its flags, `invoke --list` the tasks",
            )
        if unknown:
            raise UsageError.unknown("task", unknown, contexts)
        hint = f"`invoke {context.name} --help` lists its flags"
        if missing:
            raise UsageError(f"{context.name} needs {', '.join(missing)}", hint=hint)
        if words and words[-1] in context.flags:
            raise UsageError(f"{words[-1]} needs a value", hint=hint)
        raise UsageError(str(error), hint=hint)

    def _first_unknown(self, words: Sequence[str], contexts: Mapping[str, ParserContext]) -> str:
        """Return the first word that no task takes, or ``""`` if there is none."""
        parser = Parser(contexts.values(), self.initial_context, ignore_unknown=True)
        try:
            unparsed = parser.parse_argv(list(words)).unparsed
        except ParseError:
            return ""
        return unparsed[0] if unparsed else ""


def install(groups: Mapping[str, Sequence[Command]]) -> None:
    """Make Invoke's running program a ``TaskProgram`` with these groups."""
    TaskProgram.groups = groups
    invoke.main.program.__class__ = TaskProgram
