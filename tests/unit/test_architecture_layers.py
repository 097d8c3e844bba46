"""The list of layers in docs/architecture.md and the import contract are one list."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

from gobun import paths

_LAYER = re.compile(r"^gobun/(\w+)(?:/|\.py)(?:\s|$)", re.MULTILINE)


def test_import_contract_matches_the_documented_layers() -> None:
    page = (paths.ROOT / "docs" / "architecture.md").read_text()
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())
    (contract,) = project["tool"]["importlinter"]["contracts"]
    assert contract["layers"] == _LAYER.findall(page.partition("\n## ")[0])
    assert contract["exhaustive"]


def test_tasks_are_listed_without_slow_libraries() -> None:
    script = "import sys, tasks; print(*{'capstone', 'lief', 'requests'} & set(sys.modules))"
    completed = subprocess.run(
        [sys.executable, "-c", script], cwd=paths.ROOT, capture_output=True, text=True, check=True
    )
    assert completed.stdout.split() == []
