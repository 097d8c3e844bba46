"""Decoders for types that several threads may decode for the first time at once.

At the first use of a record, msgspec collects its annotations and stores them in its class before
they are complete. If a second thread reads them too early, the process ends with a segmentation
fault (msgspec 0.22.0). So code that runs in threads first calls ``decoder_of``, which holds a lock.
"""

from __future__ import annotations

import functools
import threading
from typing import Any, TypeVar, overload

import msgspec

_T = TypeVar("_T")
_lock = threading.Lock()


@overload
def decoder_of(kind: type[_T]) -> msgspec.json.Decoder[_T]: ...


@overload
def decoder_of(kind: object) -> msgspec.json.Decoder[Any]: ...


def decoder_of(kind: object) -> msgspec.json.Decoder[Any]:
    """Return the JSON decoder of a type. Afterwards `msgspec.convert` may use the type too."""
    with _lock:
        return _decoder(kind)


@functools.cache
def _decoder(kind: object) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
