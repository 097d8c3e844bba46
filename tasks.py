"""The tasks that ``invoke --list`` shows, by group; ``gobun/commands/`` has their code."""

from gobun.commands.bun_builds import build_bun, matrix_patched, register_bun
from gobun.commands.check import check_bun
from gobun.commands.diagnose import diagnose
from gobun.commands.libraries import (
    audit,
    build_asherah,
    build_guard,
    build_warmup,
    convert_musl,
    embed_guard,
    musl_sysroot,
    vendor_guard,
)
from gobun.commands.maintenance import benchmark, cache, doctor, lock, test
from gobun.commands.matrix import matrix, plan
from gobun.commands.program import install
from gobun.commands.release import download_warmup, pack_loader, release, verify_release
from gobun.commands.results import bisect, claims, expect, issue_text, merge, report, repro
from gobun.commands.source import (
    bun_commits,
    fetch_bun,
    patch_bun,
    patch_export,
    patch_lint,
    patch_new,
    patch_rebase,
)
from gobun.commands.vm import vm

__all__ = [
    "audit",
    "benchmark",
    "bisect",
    "build_asherah",
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
    "issue_text",
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
    "vm",
]

GROUPS = {
    "Main jobs": (matrix, vm, plan, merge, diagnose, bisect),
    "Bun from source": (
        fetch_bun,
        patch_bun,
        check_bun,
        build_bun,
        register_bun,
        matrix_patched,
        patch_new,
        patch_export,
        patch_rebase,
        patch_lint,
        bun_commits,
    ),
    "Results": (report, repro, claims, expect, issue_text),
    "Libraries": (
        build_asherah,
        build_guard,
        vendor_guard,
        embed_guard,
        build_warmup,
        audit,
        convert_musl,
        musl_sysroot,
        pack_loader,
        release,
        verify_release,
        download_warmup,
    ),
    "Upkeep": (doctor, cache, lock, benchmark, test),
}

install(GROUPS)
