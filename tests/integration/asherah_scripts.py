"""Scripts that call Asherah's addon as applications do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from commands import run_script

if TYPE_CHECKING:
    from pathlib import Path

_START = """
const asherah = require(process.argv[2]);
const config = { ServiceName: "s", ProductID: "p", Metastore: "memory", KMS: "static" };
// Where a call says no: at once, or by a promise.
async function refusal(call) {
  let promise;
  try {
    promise = call();
  } catch (error) {
    return `throws ${error.code ?? error.name}`;
  }
  try {
    await promise;
    return "comes";
  } catch (error) {
    return `rejects ${error.code ?? error.name}`;
  }
}
function done(result) {
  console.log(JSON.stringify(result));
  process.exit(0);
}
"""


def script_text(script: str) -> str:
    """Return a complete script. It defines `asherah`, `config`, `refusal` and `done` first."""
    return _START + script


def said_by(program: Path, addon: Path, script: str, folder: Path, *words: str) -> object:
    """Run a script that calls `done(result)`, and return the result."""
    return json.loads(run_script([program], script_text(script), folder, str(addon), *words))
