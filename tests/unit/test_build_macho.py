"""Making an invalid Mach-O file deterministic is an error without a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gobun.build import macho
from gobun.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("data", [b"", b"\xcf\xfa\xed\xfe" + bytes(20), b"\x7fELF" + bytes(200)])
def test_macho_other_file_is_rejected(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.dylib"
    path.write_bytes(data)
    with pytest.raises(BuildError, match=r"x\.dylib is not a dylib of the form that Zig links"):
        macho.make_deterministic(path)
    assert path.read_bytes() == data
