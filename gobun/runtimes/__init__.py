"""The executables under test, each behind the one Protocol."""

from gobun.runtimes.base import Runtime, label
from gobun.runtimes.bun import Bun, choose_bun, provide_bun
from gobun.runtimes.node import Node, provide_node

RUNTIMES = ("bun", "node")

__all__ = [
    "RUNTIMES",
    "Bun",
    "Node",
    "Runtime",
    "choose_bun",
    "label",
    "provide_bun",
    "provide_node",
]
