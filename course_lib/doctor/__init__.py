"""What works on this machine, how to mend what does not, and how long each lesson takes: `python -m course_lib.doctor`.

Every probe stands alone, and nothing is imported before the probe that needs it, except Python's own library.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from course_lib.doctor.findings import (
    BROKEN,
    OPTIONAL,
    WORKS,
    Finding,
    Probe,
    as_text,
    examine,
    marks_for,
    one_line,
    terminal_width,
)

GIB = 2**30
DISK_NEEDED = GIB // 2  # notebooks, checkpoints, MNIST if asked for
INSTALL = "in the pack's folder, python start.py --install (in a checkout, make setup)"


def student_probes() -> dict[str, Probe]:
    """What somebody who works through the notebooks needs, in the order of the report."""
    return {
        "Python": python,
        "packages": packages,
        "course_lib": imports,
        "processor": processor,
        "GPU": gpu,
        "memory": memory,
        "disk": disk,
        "digits": digits,
        "MNIST": mnist,
    }


def python() -> Iterator[Finding]:
    """Is this Python new enough, and which one is it?"""
    found = f"{sys.version.split()[0]}, {sys.executable}"
    try:
        wanted = metadata.metadata("course_lib")["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        wanted = ""  # the next probe says so
    if wanted:
        from packaging.specifiers import SpecifierSet

        if not SpecifierSet(wanted).contains(sys.version.split()[0], prereleases=True):
            yield Finding("Python", BROKEN, found, f"make an environment with Python {wanted}, as in the README")
            return
    yield Finding("Python", WORKS, found)


def packages(
    distribution: str = "course_lib", extras: tuple[str, ...] = ("lab",), install: str = INSTALL
) -> Iterator[Finding]:
    """Are the packages that `distribution` declares there, in its ranges? Those of its `extras` are optional."""
    try:
        metadata.distribution(distribution)
        from packaging.utils import canonicalize_name
    except metadata.PackageNotFoundError:
        yield Finding("packages", BROKEN, f"{distribution} is not installed in this Python", install)
        return
    except ImportError:
        yield Finding("packages", BROKEN, "packaging is missing", "python -m pip install packaging")
        return
    needed, optional = _requirements(distribution, ("",)), _requirements(distribution, extras)
    versions: dict[str, str] = {}
    for status, wanted in ((BROKEN, needed), (OPTIONAL, optional)):
        faults, missing = [], []
        for requirement in wanted:
            name, ranges = requirement.name, str(requirement.specifier)
            try:
                version = metadata.version(name)
            except metadata.PackageNotFoundError:
                faults.append(f"{name} is missing")
            else:
                if requirement.specifier.contains(version, prereleases=True):
                    versions[canonicalize_name(name)] = f"{name} {version}"
                    continue
                faults.append(f"{name} {version} is not {ranges}")
            missing.append(f"'{name}{ranges}'" if ranges else name)
        if faults:
            yield Finding("packages", status, ", ".join(faults), f"python -m pip install {' '.join(missing)}")
        elif status == BROKEN:
            few = [versions[name] for name in ("torch", "numpy", "scikit-learn", "matplotlib") if name in versions]
            count = f"all {len(versions)} in their ranges"
            yield Finding("packages", WORKS, ": ".join([count, ", ".join([*few, "…"])]) if few else count)


def _requirements(distribution: str, extras: Iterable[str]) -> list[Any]:
    """What a distribution asks for with any of the extras ("": without); what it asks for by extras of others too."""
    from packaging.requirements import Requirement

    found = []
    for line in metadata.requires(distribution) or []:
        requirement = Requirement(line)
        always = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        asked = any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras)
        if not asked or (always and "" not in extras):
            continue
        found.append(requirement)
        if requirement.extras:
            with suppress(metadata.PackageNotFoundError):  # it is in the list itself, and will be missed
                found += _requirements(requirement.name, ("", *requirement.extras))
    return found


def imports() -> Iterator[Finding]:
    """Does what the notebooks import load? A package may be there and still be broken."""
    loaded = importlib.import_module("course_lib")
    try:
        for name in loaded.__all__:
            getattr(loaded, name)
        importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        remedy = "mend the packages; one that is there, python -m pip install --force-reinstall it"
        yield Finding("course_lib", BROKEN, f"does not load: {one_line(error.__cause__ or error)}", remedy)
        return
    yield Finding("course_lib", WORKS, f"loads, from {Path(str(loaded.__file__)).parent}")


def processor() -> Iterator[Finding]:
    """How many cores are ours, and does PyTorch use as many?"""
    import torch

    cores, threads = usable_cores(), torch.get_num_threads()
    found = f"{cores} core{'s' * (cores != 1)}, PyTorch uses {threads} thread{'s' * (threads != 1)}"
    if threads > cores:
        yield Finding("processor", OPTIONAL, f"{found}, which wait for each other", f"set OMP_NUM_THREADS={cores}")
    else:
        yield Finding("processor", WORKS, found)


def usable_cores() -> int:
    """The cores this process may use: a container's share, not the machine's number."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _control_group("cpu.max").partition(" ")
    return max(1, min(cores, round(int(quota) / int(period)))) if quota.isdigit() else cores


def _control_group(name: str) -> str:
    """A setting of this container's control group; "" where there is none."""
    try:
        return (Path("/sys/fs/cgroup") / name).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def gpu() -> Iterator[Finding]:
    """Which device do the lessons use, and does it compute?"""
    import torch

    from course_lib.device import get_device

    try:
        device = get_device()
    except ValueError as error:
        text, _, remedy = str(error).partition("; ")
        yield Finding("GPU", BROKEN, text, remedy or "unset COURSE_DEVICE")
        return
    if device.type == "cpu":
        yield _no_gpu(torch)
        return
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        name = f"{torch.cuda.get_device_name(device)}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
    else:
        name = f"Apple's, {torch.mps.recommended_max_memory() / GIB:.1f} GiB to use"
    try:
        ones = torch.ones(8, 8, device=device)
        if (ones @ ones).sum().item() != 512:
            raise RuntimeError("it computes wrongly")
    except RuntimeError as error:
        remedy = "set COURSE_DEVICE=cpu, or install the PyTorch for this GPU and driver (pytorch.org)"
        yield Finding("GPU", BROKEN, f"{name}, but {one_line(error)}", remedy)
        return
    yield Finding("GPU", WORKS, f"{name}; lessons use it ({device})")


def _no_gpu(torch: Any) -> Finding:
    if os.environ.get("COURSE_DEVICE"):
        return Finding("GPU", OPTIONAL, "not used: COURSE_DEVICE says cpu", "unset COURSE_DEVICE to use one")
    if shutil.which("nvidia-smi") is None:
        return Finding("GPU", OPTIONAL, "none; every lesson is made to run without")
    if torch.version.cuda is None:
        remedy = "install PyTorch with CUDA, see pytorch.org/get-started"
        return Finding(
            "GPU", OPTIONAL, f"NVIDIA's driver is here, but PyTorch {torch.__version__} is without CUDA", remedy
        )
    remedy = f"run nvidia-smi; the driver must be new enough for CUDA {torch.version.cuda}"
    return Finding("GPU", OPTIONAL, "NVIDIA's driver is here, but PyTorch finds no GPU", remedy)


def memory() -> Iterator[Finding]:
    """Is there enough for the largest lesson?"""
    available = available_memory()
    if available is None:
        yield Finding("memory", OPTIONAL, "cannot be read here", "python -m pip install psutil")
        return
    from course_lib.doctor.pace import read_costs

    needed = max((cost.memory for cost in read_costs().values()), default=0) * 2**20
    found = f"{available / GIB:.1f} GiB free; the largest lesson takes {needed / GIB:.1f} GiB"
    if available < needed:
        yield Finding("memory", BROKEN, found, "close other programs and notebooks (Kernel > Shut Down All Kernels)")
    else:
        yield Finding("memory", WORKS, found)


def available_memory() -> int | None:
    """Bytes that can be had: of the machine, or of this container where that is less. None if nobody says."""
    free: int | None = None
    try:
        import psutil

        free = psutil.virtual_memory().available
    except ImportError:
        if sys.platform.startswith("linux"):
            lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
            free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    limit, used = _control_group("memory.max"), _control_group("memory.current")
    if free is not None and limit.isdigit() and used.isdigit():
        # Files read and kept for later count as used, and make way.
        kept = dict(line.split() for line in _control_group("memory.stat").splitlines()).get("inactive_file", "0")
        free = min(free, int(limit) - int(used) + int(kept))
    return free


def disk() -> Iterator[Finding]:
    """Can notebooks be saved in this folder?"""
    here, free = Path.cwd(), shutil.disk_usage(Path.cwd()).free
    try:
        with tempfile.TemporaryFile(dir=here):
            pass
    except OSError as error:
        remedy = "work in a folder of your own, on a disk that is not full"
        yield Finding("disk", BROKEN, f"{here} cannot be written to ({error.strerror})", remedy)
        return
    found = f"{free / GIB:.1f} GiB free in {here}"
    if free < DISK_NEEDED:
        yield Finding("disk", BROKEN, found, f"make room: the course wants {DISK_NEEDED / GIB:g} GiB")
    else:
        yield Finding("disk", WORKS, found)


def digits() -> Iterator[Finding]:
    """Are the digits that the lessons train on there, and whole?"""
    from course_lib import data

    count = [len(data.digits(split, device="cpu")) for split in ("train", "test")]
    if sum(count) != 1797:
        raise ValueError(f"{sum(count)} digits instead of 1797")
    yield Finding("digits", WORKS, f"{count[0]} to train on, {count[1]} to test with")


def mnist() -> Iterator[Finding]:
    """Was MNIST downloaded? No exercise needs it."""
    from course_lib import data

    copy = data.mnist_copy()
    if copy.exists():
        yield Finding("MNIST", WORKS, f"downloaded, {copy}")
    else:
        yield Finding(
            "MNIST",
            OPTIONAL,
            "not downloaded; no exercise needs it",
            "to download it: course_lib.data.mnist(), once, while online",
        )


def lesson_times() -> dict[str, float]:
    """About how many seconds each lesson takes on this machine, after timing it."""
    from course_lib.doctor.pace import read_costs
    from course_lib.doctor.timing import measure

    pace = measure()
    return {lesson: pace.seconds(cost) for lesson, cost in read_costs().items()}


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 if everything a student needs works, 1 if something is broken."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.doctor", description="Is this machine ready?")
    parser.add_argument("--json", action="store_true", help="for programs")
    options = parser.parse_args(arguments)
    report = examine(student_probes(), lesson_times)
    print(report.as_json() if options.json else as_text(report, terminal_width(), marks_for(sys.stdout)))
    return 0 if report.healthy else 1
