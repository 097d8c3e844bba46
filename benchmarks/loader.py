"""Measures the start of an application with the npm package and with the warm-up library.

    .venv/bin/nox -s shell -- benchmark loader

Each number is the minimum over fresh processes, with the median in brackets. Other work on the
machine changes the median more. The load paths take turns:

- `guard` loads the guard as the package does;
- `guard by path` loads it from the installed package, and runs none of the package's scripts;
- `resolved guard` does so too, and lets the runtime find the package;
- `empty package` requires a package that does nothing;
- `package` requires this package and calls `warmup()`;
- `warm-up library` loads that library with FFI and calls it, as the package did before.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from pathlib import Path

from gobun import build, release, runtimes
from gobun.fetch import archive
from gobun.targets import host_target

ROUNDS = 25
VERSIONS = ("1.2.19", "1.4.5")
TIMED_SCRIPT = """
require("./empty.cjs"); // the first module of an application costs more than any other
const started = performance.now();
{0}
console.log(performance.now() - started);
process.exit(0);
"""
LOAD_PATHS = {
    "guard": "process.dlopen({{ exports: {{}} }}, {guard!r});",
    "guard by path": (
        "process.dlopen({{ exports: {{}} }}, "
        "`${{__dirname}}/node_modules/go-warmup/lib/{guard_name}`);"
    ),
    "resolved guard": (
        "process.dlopen({{ exports: {{}} }}, require.resolve('go-warmup/lib/{guard_name}'));"
    ),
    "empty package": "require('empty-package');",
    "package": "require('go-warmup').warmup();",
    "warm-up library": (
        "require('bun:ffi').dlopen({warmup!r}, {{ Warmup: {{ args: [], returns: 'i32' }} }})"
        ".symbols.Warmup();"
    ),
}


def main() -> None:
    """Measure, and print one line per version of Bun."""
    target = host_target()
    guard, warmup = build.build_guard([target])[0], build.build_warmup([target])[0]
    with tempfile.TemporaryDirectory(prefix="gobun-benchmark-") as name:
        folder = Path(name)
        packed = release.pack_loader("0.0.1", [guard], [], folder)
        tarball = packed[0].tarball
        packages = folder / "node_modules"
        archive.unpack(tarball, packages / "go-warmup", tarball.name)
        (folder / "empty.cjs").write_text("")
        (packages / "empty-package").mkdir()
        (packages / "empty-package" / "index.js").write_text("")
        (packages / "empty-package" / "package.json").write_text('{"name": "empty-package"}')
        paths = {
            "guard": str(guard.library),
            "guard_name": guard.library.name,
            "warmup": str(warmup.library),
        }
        scripts = {}
        for load_path, code in LOAD_PATHS.items():
            scripts[load_path] = folder / f"{load_path.replace(' ', '-')}.cjs"
            scripts[load_path].write_text(TIMED_SCRIPT.replace("{0}", code.format(**paths)))
        for bun in runtimes.provide_bun(VERSIONS, target):
            time_load_paths(bun, scripts)


def time_load_paths(bun: runtimes.Bun, scripts: dict[str, Path]) -> None:
    """Time each load path in new processes, and print the minimum and the median."""
    taken: dict[str, list[float]] = {load_path: [] for load_path in scripts}
    for _ in range(ROUNDS):
        for load_path, script in scripts.items():
            command = [str(bun.program), str(script)]
            completed = subprocess.run(command, capture_output=True, text=True, check=True)
            taken[load_path].append(float(completed.stdout))
    parts = [
        f"{load_path} {min(times):.2f} ms ({statistics.median(times):.2f})"
        for load_path, times in taken.items()
    ]
    print(f"bun@{bun.version}: {', '.join(parts)}")


if __name__ == "__main__":
    main()
