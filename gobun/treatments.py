"""The table of treatments: changes that may help a runtime with Go in its process.

A record holds everything that the suite knows about a treatment.
`gobun.runtimes.treated_environment` applies the part for the runtime, `gobun.matrix` the part for
the module and for the cell. A new treatment is a new record, unless it does something that no field
describes yet.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BuildKind = Literal["patched", "self-built"]
"""How an executable was built here: with patches, or without any, as the control. Its version has
this after a plus sign: ``1.2.19+patched``."""

PATCHED: BuildKind = "patched"
SELF_BUILT: BuildKind = "self-built"

GUARD_SWITCH = "GO_WARMUP_GUARD"
"""The variable that switches every guard in a process on (``1``) or off (``0``)."""


class Treatment(msgspec.Struct, frozen=True, kw_only=True):
    """A change to one cell, and the executables that it applies to."""

    name: str
    """As a person gives it: ``KIND`` or ``KIND:WORD+WORD``."""
    summary: str
    """A description for people, the same for all treatments of a kind."""
    environment: dict[str, str] = {}
    """Variables that it adds to the environment of the runtime."""
    calls: Literal["", "warmup", "guard", "package"] = ""
    """The library or package of ours that the scenario loads and calls."""
    argument: dict[str, str] = {}
    """Further arguments for the scenario."""
    variant: Literal["", "built-in", "embedded", "unconverted"] = ""
    """The form of the module that takes its place; empty for the module itself."""
    emulates: tuple[str, ...] = ()
    """The actions of the preload library. Each does at load time what a patch of Bun does in the
    sources."""
    origin: Literal["", "stock", BuildKind] = ""
    """The only executables it is for; empty for all."""
    engine: str = ""
    """The only JavaScript engine it is for; empty for all."""
    setting: str = ""
    """The text in executables that support the setting, or empty if none is needed."""

    @property
    def kind(self) -> str:
        """The name without its words: ``gc-signal`` of ``gc-signal:21``."""
        return self.name.partition(":")[0]

    @property
    def kind_words(self) -> tuple[str, ...]:
        """The words behind the kind, sorted."""
        return words_of(self.name)


PRELOAD_WORDS = ("stack8m", "sigmask", "sigmask-keep", "suspend")
"""The names of the actions of the preload library (``native/preload``)."""

_SIGMASK_WORDS = {"sigmask", "sigmask-keep"}
"""Actions that exclude each other."""

GC_SIGNALS = (12, 18, 20, 21, 22)
"""Go's table marks 18, 20, 21 and 22 (SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU) as ``_SigDefault``, so
Go does not change their handlers (``runtime/sigtab_linux_generic.go``). It changes that of 12
(SIGUSR2), which is the counter-check."""


def _emulations() -> Iterator[Treatment]:
    for size in range(1, len(PRELOAD_WORDS)):
        for words in itertools.combinations(PRELOAD_WORDS, size):
            if not set(words) >= _SIGMASK_WORDS:
                yield Treatment(
                    name=f"preload:{'+'.join(words)}",
                    summary="the runtime starts with the preload library, which does WORD at load"
                    " time",
                    emulates=words,
                )


def _gc_signals() -> Iterator[Treatment]:
    for number in GC_SIGNALS:
        yield Treatment(
            name=f"gc-signal:{number}",
            summary="the runtime starts with `JSC_SIGNAL_FOR_GC=WORD`",
            environment={"JSC_SIGNAL_FOR_GC": str(number)},
            engine="JavaScriptCore",
            setting="JSC_SIGNAL_FOR_GC",
        )


_TABLE: tuple[Treatment, ...] = (
    Treatment(name="stock", summary="nothing", origin="stock"),
    Treatment(
        name="warmup-plain",
        summary="as `warmup`, with the guard switched off: this is the warm-up of the claims",
        environment={GUARD_SWITCH: "0"},
        calls="warmup",
    ),
    Treatment(
        name="warmup",
        summary="the warm-up library is loaded and called first; the guard is inside it",
        environment={GUARD_SWITCH: "1"},
        calls="warmup",
    ),
    Treatment(
        name="guard",
        summary="`go-guard` is installed before the module is loaded",
        calls="guard",
        argument={"guarded": "before"},
    ),
    Treatment(
        name="guard-after",
        summary="`go-guard` is installed after the module was loaded and called",
        calls="guard",
        argument={"guarded": "after"},
    ),
    Treatment(
        name="package",
        summary="the npm package `go-warmup` is required and called before the module is loaded",
        # Empty instead of "1", because the package has a shorter path for an empty variable.
        environment={GUARD_SWITCH: ""},
        calls="package",
    ),
    Treatment(
        name="built-in",
        summary="the module has the guard linked into it; nothing is loaded before it",
        environment={GUARD_SWITCH: "1"},
        variant="built-in",
    ),
    Treatment(
        name="embedded",
        summary="the finished files of the module have the guard put into them; nothing is loaded"
        " before it",
        environment={GUARD_SWITCH: "1"},
        variant="embedded",
    ),
    Treatment(
        name="unconverted",
        summary="in musl runtimes: the Go module before conversion; all other treatments there run"
        " the converted module",
        variant="unconverted",
    ),
    *_gc_signals(),
    *_emulations(),
    Treatment(
        name=SELF_BUILT,
        summary="a Bun that was built here without a patch, named as version `1.2.19+self-built`:"
        " the control of `patched`",
        origin=SELF_BUILT,
    ),
    Treatment(
        name=PATCHED,
        summary="a Bun that was built from patched sources, named as version `1.2.19+patched`",
        origin=PATCHED,
    ),
)

TREATMENTS: dict[str, Treatment] = {each.name: each for each in _TABLE}
"""Every treatment by name, in the order in which reports name them."""

if TYPE_CHECKING:
    TreatmentName: TypeAlias = str
else:
    TreatmentName = Literal[tuple(TREATMENTS)]  # so that msgspec rejects every other name


def words_of(name: str) -> tuple[str, ...]:
    """Return the words behind the kind of a treatment, sorted; empty if there are none."""
    _, colon, words = name.partition(":")
    return tuple(sorted(words.split("+"))) if colon else ()


def expand_names(names: Iterable[str]) -> list[str]:
    """Return the full names of treatments for the short forms that users write.

    Unknown names stay as they are.

    A kind alone (``gc-signal``, ``preload``) stands for all its treatments with one word. Words may
    come in any order: ``preload:suspend+stack8m``.
    """
    treatments: list[str] = []
    for name in names:
        kind = name.partition(":")[0]
        alike = [each for each in TREATMENTS.values() if each.kind == kind]
        single = [each.name for each in alike if len(each.kind_words) == 1]
        same = [each.name for each in alike if each.kind_words == words_of(name)]
        treatments += same or (single if name == kind else []) or [name]
    return treatments


def combined_emulation(names: Iterable[str]) -> list[str]:
    """Return the treatment that combines the emulations of ``names``, if there is one.

    It ignores unknown names.
    """
    words = {word for name in names if name in TREATMENTS for word in TREATMENTS[name].emulates}
    return [each.name for each in _TABLE if words and set(each.emulates) == words]


def described() -> list[tuple[str, str]]:
    """Return a table for people: each kind of treatment as users write it, and its effect."""
    rows = []
    for kind in dict.fromkeys(each.kind for each in _TABLE):
        alike = [each for each in _TABLE if each.kind == kind]
        words = list(dict.fromkeys(word for each in alike for word in each.kind_words))
        if not words:
            rows.append((f"`{kind}`", alike[0].summary))
            continue
        more = "[+WORD]" if any(len(each.kind_words) > 1 for each in alike) else ""
        listed = ", ".join(f"`{word}`" for word in words)
        rows.append(
            (
                f"`{kind}:WORD{more}`, `{kind}`",
                f"{alike[0].summary}; WORD is one of {listed}, and `{kind}` alone means one cell"
                " for each",
            )
        )
    return rows
