"""The executables under test, all behind one Protocol."""

from gobun.runtimes.base import LacksError, Runtime, label
from gobun.runtimes.bun import Bun, choose_bun, fitting_package, provide_bun
from gobun.runtimes.deno import Deno
from gobun.runtimes.musl import foreign_libc
from gobun.runtimes.node import Node, provide_node
from gobun.runtimes.provide import (
    RUNTIMES,
    choose_versions,
    named_version,
    provide_runtimes,
    split_versions,
)
from gobun.runtimes.registered import (
    RegisteredBun,
    own_treatment,
    register,
    registered_as,
    registered_buns,
    revision_of,
    version_with,
)
from gobun.runtimes.treated import treated_environment

__all__ = [
    "RUNTIMES",
    "Bun",
    "Deno",
    "LacksError",
    "Node",
    "RegisteredBun",
    "Runtime",
    "choose_bun",
    "choose_versions",
    "fitting_package",
    "foreign_libc",
    "label",
    "named_version",
    "own_treatment",
    "provide_bun",
    "provide_node",
    "provide_runtimes",
    "register",
    "registered_as",
    "registered_buns",
    "revision_of",
    "split_versions",
    "treated_environment",
    "version_with",
]
