"""Runs the cells of a matrix in a virtual machine, and reads each result when it is written."""

from __future__ import annotations

import math
import os
import shlex
from typing import TYPE_CHECKING

import msgspec

from gobun import cache, console, files, matrix, paths, pipeline
from gobun.cells import Result
from gobun.errors import PrerequisiteError, UsageError
from gobun.expectations import is_unexpected
from gobun.scratch import scratch_folder
from gobun.targets import target_named
from gobun.vm import job, qemu, speed
from gobun.vm.architectures import architecture, check_kernel, check_release
from gobun.vm.boot import Guest, Patience, start_script
from gobun.vm.image import ImageRequest, image_for
from gobun.vm.qemu import Machine, Share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gobun.cells import Cell
    from gobun.console import Progress
    from gobun.vm.boot import GuestEnd
    from gobun.vm.qemu import Emulator

MEMORY_MIB = 3072
CORES = 2
_BOOT_S = {True: 75.0, False: 6.0}
_CELL_S = {True: 30.0, False: 1.0}
"""About how long one cell takes on one core, emulated or not; for the estimate alone."""


class MachineRequest(msgspec.Struct, frozen=True):
    """The guest that the user requested."""

    arch: str = "arm64"
    release: str = "bookworm"
    kernel: str = ""
    """Flavour of Debian's kernel, such as ``arm64-16k``; empty for the usual one."""
    memory_mib: int = MEMORY_MIB
    cores: int | None = None
    mirror: str = ""
    emulate: bool = False
    """Whether to emulate the processor even where KVM is available."""
    sve: bool = False
    """Whether the kernel of an arm64 guest may use SVE."""

    @property
    def repeat_command(self) -> str:
        """The beginning of the command line that runs a cell again."""
        kernel = f" --kernel {self.kernel}" if self.kernel else ""
        sve = " --sve" if self.sve else ""
        return f"invoke vm --arch {self.arch} --release {self.release}{kernel}{sve}"

    @property
    def image(self) -> ImageRequest:
        """The image of the guest."""
        return ImageRequest(architecture(self.arch), self.release, self.kernel, self.mirror)


def check_request(request: MachineRequest) -> Emulator:
    """Validate a request, and return its emulator.

    Raises:
        UsageError: there is no such processor or release, or the kernel or cores are invalid.
        PrerequisiteError: QEMU is missing, or the machine has too little memory.
    """
    arch = architecture(request.arch)
    check_release(request.release)
    check_kernel(request.kernel)
    if request.cores is not None and request.cores < 1:
        raise UsageError(f"--cores {request.cores} runs nothing", hint="give at least 1")
    emulator = qemu.find_emulator(arch, emulate=request.emulate)
    qemu.check_memory(request.memory_mib)
    return emulator


def run_in_guest(request: pipeline.Request, machine_request: MachineRequest) -> None:
    """Run the matrix in a guest, and write the results and reports on this machine.

    Raises:
        UsageError: an argument is invalid, such as an unknown name.
        PrerequisiteError: QEMU, memory or disk space is missing, or the guest does not start.
        FetchError: a package or a runtime could not be fetched.
        BuildError: a library could not be built.
        UnexpectedOutcomeError: everything ran, and a cell was not as expected.
    """
    emulator = check_request(machine_request)
    machine = machine_of(machine_request)

    def execute(context: matrix.RunContext, part: pipeline.Part, request: pipeline.Request) -> None:
        cells = len(part.remaining_cells)
        jobs = request.jobs or machine.cores * (1 if emulator.is_emulated else pipeline.JOBS_A_CORE)
        console.log(estimate(emulator, machine, cells, jobs))
        image = image_for(machine_request.image)
        work = job_of(context, part, request, emulator)
        work = msgspec.structs.replace(work, jobs=jobs, again=machine_request.repeat_command)
        with scratch_folder("vm") as folder, files.disk_errors(request.out):
            request.out.mkdir(parents=True, exist_ok=True)
            shares = shared_folders(machine_request, request.out)
            guest = Guest(emulator, image, machine, shares, folder)
            with console.progress("cells", cells) as progress:
                run_job(guest, work, progress)

    pipeline.run_matrix(
        msgspec.structs.replace(request, guest=emulator.arch.target), execute=execute
    )


def machine_of(request: MachineRequest) -> Machine:
    """Return the requested guest."""
    cores = request.cores or min(CORES, os.cpu_count() or 1)
    return Machine(cores, request.memory_mib, request.sve)


def estimate(emulator: Emulator, machine: Machine, cells: int, jobs: int) -> str:
    """Return a line for the log: a run's expected duration, and the reason for it."""
    emulated = emulator.is_emulated
    parallel = min(jobs, machine.cores, os.cpu_count() or 1)
    minutes = math.ceil((_BOOT_S[emulated] + cells * _CELL_S[emulated] / parallel) / 60)
    takes = "takes" if cells == 1 else "take"
    how = f"is emulated, because {emulator.no_kvm}" if emulated else "runs with KVM"
    return (
        f"{emulator.arch.name} {how}: {console.pluralize(cells, 'cell')} {takes} about "
        f"{console.pluralize(minutes, 'minute')}"
    )


def shared_folders(machine: MachineRequest, out: Path | None = None) -> tuple[Share, ...]:
    """Return the guest's shared folders: suite and cache to read, ``out`` to write."""
    root = paths.cache_root()
    compiled = pycache(machine)
    cache.pin(compiled)
    with files.disk_errors(compiled):
        compiled.mkdir(parents=True, exist_ok=True)
    shares = [Share("suite", paths.ROOT), Share("cache", root)]
    # Writable folders come last, because each may be below a read-only one.
    shares.append(Share("compiled", compiled, writable=True))
    return (*shares, Share("out", out, writable=True)) if out else tuple(shares)


def pycache(request: MachineRequest) -> Path:
    """Return the folder for the compiled files of the guest's Python. Later guests read them."""
    return paths.cache_root() / "vm-compiled" / f"{request.release}-{request.arch}"


def job_of(
    context: matrix.RunContext,
    part: pipeline.Part,
    request: pipeline.Request,
    emulator: Emulator,
) -> job.Job:
    """Return a job for the cells of ``part`` that have no result yet, one cell at a time."""
    return job.Job(
        header=part.header,
        cells=part.remaining_cells,
        kept=part.earlier_results,
        jobs=1,
        resume=request.resume,
        supervise=context.supervise,
        inspector=context.means.inspector,
        warmup=context.warmup,
        guard=context.guard,
        probe=context.probe,
        package=context.package,
        preload=context.preload,
        modules=dict(context.modules),
        variants=tuple(
            job.ModuleVariant(variant, fixture)
            for (variant, _), fixture in context.variants.items()
        ),
        target=context.target.name,
        runtimes=tuple(job.RuntimeRecord.of(each) for each in context.runtimes.values()),
        expectations=context.expectations,
        out=context.out,
        limit_s=context.limit_s,
        repeat=context.repeat,
        cores=context.means.cores,
        emulated=emulator.is_emulated,
        machine=emulator.name,
        reference_s=speed.loop_s(),
    )


def run_job(guest: Guest, vm_job: job.Job, progress: Progress) -> None:
    """Run the cells of a job, in one guest after the other until every cell has a result.

    If a guest ends early, the outcome of the cells that it was running is ``error``.

    Raises:
        PrerequisiteError: a guest ended before it ran a cell, or could not run the matrix.
    """
    progress.advance(0)
    while vm_job.cells:
        end = _run_once(guest, vm_job, progress)
        results = _results(vm_job)
        finished = {result.cell for result in results}
        started = job.started_cells(guest.job_folder)
        lost = [cell for cell in vm_job.cells if cell in set(started) - finished]
        if end.ended_early and not lost and len(results) == len(vm_job.kept):
            kvm = "" if vm_job.emulated else "KVM may not work here, so try --emulate; or "
            raise PrerequisiteError(
                f"the guest ended before it ran a cell: {end.reason}",
                hint=f"{kvm}try more with --memory, or look around with `invoke vm --shell`",
            )
        if end.code and not end.ended_early:
            raise PrerequisiteError(
                f"the guest could not run the matrix:\n{end.reason}",
                hint="look around in it with `invoke vm --shell`",
            )
        results += [lost_result(cell, vm_job, end.reason) for cell in lost]
        finished = {result.cell for result in results}
        remaining = tuple(cell for cell in vm_job.cells if cell not in finished)
        if lost:
            _record(vm_job, results)
            console.log(f"the guest ended: {end.reason}; {len(remaining)} cells are left")
        vm_job = msgspec.structs.replace(vm_job, cells=remaining, kept=tuple(results), resume=True)


def _run_once(guest: Guest, vm_job: job.Job, progress: Progress) -> GuestEnd:
    compiled = next(each.folder for each in guest.shares if each.tag == "compiled")
    # A runner that crashes logs its position, because an emulated machine can have faults of its
    # own.
    words = ["python3", "-X", "faulthandler", "-m", "gobun.vm.guest", str(job.GUEST_FOLDER)]
    log = shlex.quote(str(job.GUEST_FOLDER / job.LOG_NAME))
    guest.prepare(start_script(f"{shlex.join(words)} > {log} 2>&1", bytecode=compiled))
    job.write_job(vm_job, guest.job_folder)
    result_count = len(vm_job.kept)

    def look() -> None:
        nonlocal result_count
        results = _finished_outcomes(vm_job.out / matrix.FILE_NAME)
        for note in results[result_count:]:
            progress.advance(note=note)
        result_count = max(result_count, len(results))

    patience = Patience.for_guest(emulated=vm_job.emulated)
    with guest.start() as child:
        end = guest.watch(child, patience, console.throttled(2.0, look))
    look()
    return end


def _finished_outcomes(path: Path) -> list[str]:
    """Return the name and outcome of each result that a guest has written by now."""
    try:
        lines = path.read_bytes().split(b"\n")[1:-1]
    except OSError:
        return []
    outcomes = []
    for line in lines:
        try:
            result = msgspec.json.decode(line, type=Result)
        except (msgspec.DecodeError, UnicodeDecodeError):
            break
        outcomes.append(f"{result.cell.name}: {result.outcome}")
    return outcomes


def _results(vm_job: job.Job) -> list[Result]:
    """Return the guest's results, or the earlier ones until the guest has written some."""
    path = vm_job.out / matrix.FILE_NAME
    if not _finished_outcomes(path):
        return list(vm_job.kept)
    return list(matrix.read_results(path).results)


def lost_result(cell: Cell, vm_job: job.Job, reason: str) -> Result:
    """Return the result of a cell that was running when its guest ended."""
    expected = vm_job.expectations.of(cell)
    return Result(
        **{field: getattr(cell, field) for field in cell.__struct_fields__},
        outcome="error",
        detail=f"the guest ended while it ran: {reason}",
        expected=expected,
        unexpected=is_unexpected(expected, ("error",)),
        wall_ms=0,
        cpu_ms=0,
        max_rss_kb=0,
        exit_code=None,
        signal=None,
        attempts=1,
        evidence=(),
        repro=matrix.repro_in_guest(matrix.repro(cell, _libc_flag(vm_job)), vm_job.again),
        outcomes=("error",),
        why=vm_job.expectations.reason_for(cell),
    )


def _libc_flag(vm_job: job.Job) -> str:
    libc = target_named(vm_job.target).libc
    return libc if libc == "musl" else ""


def _record(vm_job: job.Job, results: Sequence[Result]) -> None:
    """Write the results of a guest that ended early, and one for each cell that it lost."""
    path = vm_job.out / matrix.FILE_NAME
    header = matrix.read_results(path).header if path.is_file() else vm_job.header
    with matrix.Writer(path, header, results):
        pass
