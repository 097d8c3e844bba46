"""Makes capstone's decoders, one for each thread, because threads must not share one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import capstone

_importing = threading.Lock()
_thread_decoders = threading.local()


def decoder(arch: Literal["arm64", "x64"]) -> capstone.Cs:
    """Return this thread's decoder for a processor. Import capstone only after this call."""
    instance: capstone.Cs | None = getattr(_thread_decoders, arch, None)
    if instance is None:
        instance = _new_decoder(arch)
        setattr(_thread_decoders, arch, instance)
    return instance


def _new_decoder(arch: Literal["arm64", "x64"]) -> capstone.Cs:
    # capstone's modules import each other, so a second thread could see a half-imported one.
    with _importing:
        import capstone  # noqa: PLC0415 - a tenth of a second, and most libraries need none

    if arch == "x64":
        instance = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    else:
        instance = capstone.Cs(capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM)
        # An unknown word becomes an instruction without operands, and decoding goes on.
        instance.skipdata = True
    instance.detail = True
    return instance
