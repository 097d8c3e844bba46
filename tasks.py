"""The tasks that ``invoke --list`` shows; they stand in ``gobun/commands/``."""

from gobun.commands.check import check_bun
from gobun.commands.diagnose import diagnose
from gobun.commands.libraries import (
    audit,
    build_guard,
    build_warmup,
    convert_musl,
    embed_guard,
    musl_sysroot,
    vendor_guard,
)
from gobun.commands.maintenance import benchmark, cache, doctor, lock, test
from gobun.commands.matrix import matrix, plan
from gobun.commands.release import download_warmup, pack_loader, release, verify_release
from gobun.commands.results import bisect, claims, expect, merge, report, repro
from gobun.commands.source import (
    build_bun,
    bun_commits,
    fetch_bun,
    matrix_patched,
    patch_bun,
    patch_export,
    patch_lint,
    patch_new,
    patch_rebase,
    register_bun,
)

__all__ = [
    "audit",
    "benchmark",
    "bisect",
    "build_bun",
    "build_guard",
    "build_warmup",
    "bun_commits",
    "cache",
    "check_bun",
    "claims",
    "convert_musl",
    "diagnose",
    "doctor",
    "download_warmup",
    "embed_guard",
    "expect",
    "fetch_bun",
    "lock",
    "matrix",
    "matrix_patched",
    "merge",
    "musl_sysroot",
    "pack_loader",
    "patch_bun",
    "patch_export",
    "patch_lint",
    "patch_new",
    "patch_rebase",
    "plan",
    "register_bun",
    "release",
    "report",
    "repro",
    "test",
    "vendor_guard",
    "verify_release",
]
