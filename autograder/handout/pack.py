"""`course pack`: one zip for students. Student notebooks, `course_lib` as a wheel, start scripts, instructions.

Files are named one by one here, so nothing else of the checkout can come along: no solutions, no hidden checks, no
`autograder`. The same checkout makes the same bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Template

from ..feedback.mathematics import rendered
from . import start

HERE = Path(__file__).resolve().parent
TOP = "generative-models"  # the one folder in the zip
PAGE = "READ ME FIRST.html"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of every file: the oldest that a zip can say
LAUNCHERS = {
    "start-linux.sh": '#!/bin/sh\ncd "$(dirname "$0")" && exec python3 start.py "$@"\n',
    "start-mac.command": '#!/bin/sh\ncd "$(dirname "$0")" && exec python3 start.py "$@"\n',
    "start-windows.bat": '@echo off\r\ncd /d "%~dp0"\r\nwhere py >nul 2>nul\r\n'
    "if %errorlevel%==0 (py -3 start.py %*) else (python start.py %*)\r\npause\r\n",
}
STYLE = (
    "body{max-width:44rem;margin:2rem auto;padding:0 1rem;font:1rem/1.55 system-ui,sans-serif;color-scheme:light dark}"
    "td,th{padding:.2rem .8rem;border-bottom:1px solid #8888;text-align:left}code{background:#8882;padding:0 .2em}"
)


class PackError(Exception):
    """A pack cannot be made; the message says what to do."""


def pack(root: Path, notebooks: Sequence[Path], wheels: bool, torch_index: str, folder: Path) -> Path:
    """Lay out the pack of student `notebooks` of the checkout at `root` in `folder`; returns its top folder.

    `wheels` fills a wheelhouse for this system and Python; `torch_index` is where PyTorch comes from then, "" for pip's
    own index. Raises PackError.
    """
    top = folder / TOP
    for notebook in notebooks:
        place = top / "notebooks" / notebook.parent.name / notebook.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(notebook, place)
    for name in ("start.py", "first_cell.py"):
        shutil.copyfile(HERE / name, top / name)
    shutil.copyfile(root / "constraints.txt", top / "constraints.txt")
    for name, text in LAUNCHERS.items():
        (top / name).write_bytes(text.encode())
    wheel = build_wheel(root / "course_lib", top / "wheels", folder)
    if wheels:
        fill_wheelhouse(wheel, top, torch_index)
    (top / PAGE).write_text(instructions(notebooks, start.this_python() if wheels else ""), encoding="utf-8")
    return top


def instructions(notebooks: Sequence[Path], offline: str) -> str:
    """The page of instructions. `offline` says what the wheelhouse is for, "" without one."""
    told = Template((HERE / "instructions.md").read_text(encoding="utf-8")).render(
        lessons=[path.parent.name for path in notebooks],
        files=[(path.parent.name, path.name) for path in notebooks],
        offline=offline,
    )
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Your pack</title><style>{STYLE}</style>'
    return f"{head}<body>{rendered(told)}</body></html>\n"


def build_wheel(source: Path, to: Path, scratch: Path) -> Path:
    """`course_lib` as a wheel, made of a copy, since setuptools builds beside what it builds. Raises PackError."""
    copy = scratch / "course_lib"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "*.tmp"))
    epoch = {"SOURCE_DATE_EPOCH": "315532800"}  # 1980, as EPOCH
    _pip(["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(to), str(copy)], epoch)
    shutil.rmtree(copy)
    return next(to.glob("course_lib-*.whl"))


def fill_wheelhouse(wheel: Path, top: Path, torch_index: str) -> None:
    """Every package that the course needs, JupyterLab's and nbgrader's too, for this system and this Python.

    Raises PackError, for CUDA packages as well: 5 GB, for a machine that was to be spared a download.
    """
    house = wheel.parent
    common = ["download", "--only-binary", ":all:", "-c", str(top / "constraints.txt"), "--dest", str(house)]
    if torch_index:
        _pip([*common, "--no-deps", "--index-url", torch_index, "torch"])
    _pip([*common, "--find-links", str(house), f"{wheel}[lab]"])
    if cuda := sorted(house.glob("nvidia_*.whl")):
        raise PackError(
            f"{cuda[0].name}: this is PyTorch's CUDA build; name an index of its CPU build: --torch-index URL"
        )
    (house / start.MADE_FOR.name).write_text(start.this_python(), encoding="utf-8")


def _pip(arguments: list[str], more: Mapping[str, str] | None = None) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, env={**os.environ, **(more or {})}, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise PackError(f"pip {arguments[0]} failed: {said[-1] if said else f'exit status {done.returncode}'}")


def zipped(top: Path, to: Path) -> Path:
    """The folder `top` as a zip, in one step. Wheels are compressed already."""
    to.parent.mkdir(parents=True, exist_ok=True)
    half = to.with_name(to.name + ".tmp")
    with zipfile.ZipFile(half, "w") as archive:
        for path in sorted(path for path in top.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(top.parent).as_posix(), EPOCH)
            entry.external_attr = (0o755 if path.suffix in (".sh", ".command") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_STORED if path.suffix == ".whl" else zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    half.replace(to)
    return to
