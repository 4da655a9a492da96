"""Set the course up in this folder and open it. The start script of each system runs this.

    python start.py             makes the folder .venv, installs the course into it, opens JupyterLab
    python start.py --install   installs, and opens nothing
    python start.py --here      installs into the Python that runs this (such as an activated conda environment)

A second call installs nothing again, but what a newer pack brings that was unpacked over this one. Nothing outside this
folder is changed, but with --here.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
OLDEST = (3, 11)
CPU_BUILD = "https://download.pytorch.org/whl/cpu"
INSTALL_PAGE = "https://pytorch.org/get-started/locally/"
MADE_FOR = FOLDER / "wheels" / "made-for.txt"  # in packs that bring all packages along
INSTALLED = FOLDER / ".installed"  # which Python has which of the course's own libraries


def this_python() -> str:
    """What wheels depend on, in words."""
    own = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{own}, {platform.system()}, {platform.machine()}"


def fits(made_for: str) -> bool:
    """Can this Python use packages collected by the one that `made_for` describes? A later patch can."""
    made, own = (re.fullmatch(r"(.* \d+\.\d+)\.(\d+)(.*)", one) for one in (made_for, this_python()))
    if not made or not own:
        return False
    return (made[1], made[3]) == (own[1], own[3]) and int(own[2]) >= int(made[2])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", action="store_true", help="install only")
    parser.add_argument("--here", action="store_true", help="into this Python instead of .venv")
    options = parser.parse_args()
    if sys.version_info[:2] < OLDEST:
        return stop(f"this is Python {platform.python_version()}; the course needs 3.11 or newer: python.org/downloads")
    made_for = MADE_FOR.read_text(encoding="utf-8").strip() if MADE_FOR.exists() else ""
    if made_for and not fits(made_for):
        return stop(f"the packages in wheels/ are for {made_for}, or a later patch of it; this is {this_python()}")
    python = sys.executable if options.here else own_python()
    if not is_installed(python):
        for command in installs(python, has(python, "torch"), has(python, "course_lib")):
            print(">", " ".join(command[3:]), flush=True)
            if subprocess.run([*command], cwd=FOLDER, check=False).returncode:
                return stop(f"this did not work. PyTorch can be installed alone, too: {INSTALL_PAGE}; then start again")
        INSTALLED.write_text(own_library(python), encoding="utf-8")
    if options.install:
        print(f"ready: {python}")
        return 0
    return subprocess.run([python, "-m", "jupyterlab", "notebooks"], cwd=FOLDER, check=False).returncode


def own_python() -> str:
    """The Python of the environment in .venv, which is made if it is not there."""
    python = FOLDER / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        print("making an environment in .venv", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER / ".venv")], check=True)
    return str(python)


def the_wheel() -> Path:
    """The course's own library."""
    return next((FOLDER / "wheels").glob("course_lib-*.whl"))


def own_library(python: str) -> str:
    """This Python, and this pack's library by its content: libraries of two packs may have the same version."""
    return f"{python} {hashlib.sha256(the_wheel().read_bytes()).hexdigest()}"


def is_installed(python: str) -> bool:
    """Is this pack's library there, with JupyterLab?"""
    noted = INSTALLED.read_text(encoding="utf-8") if INSTALLED.exists() else ""
    return noted == own_library(python) and has(python, "jupyterlab") and has(python, "course_lib")


def has(python: str, package: str) -> bool:
    """Is some version of `package` there?"""
    return bool(run_quietly(python, f"from importlib.metadata import version; print(version({package!r}))"))


def run_quietly(python: str, code: str) -> str:
    """What Python prints, "" where it fails. Looked for outside this folder."""
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def installs(python: str, torch: bool, older: bool = False) -> "list[list[str]]":
    """The commands that install the course, in order, where there is some PyTorch or not, and an `older` library of the
    course or none. Over one of the same version pip would leave the older one.

    On Linux PyPI's PyTorch brings 5 GB of CUDA packages: where there is no NVIDIA driver its CPU build comes first,
    from PyTorch's own index. With all packages in wheels/ nothing is asked of the network.
    """
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "-c", str(FOLDER / "constraints.txt")]
    course = f"{the_wheel()}[lab]"
    over = [[*pip, "--no-index", "--no-deps", "--force-reinstall", str(the_wheel())]] if older else []
    if MADE_FOR.exists():
        return [[*pip, "--no-index", "--find-links", str(FOLDER / "wheels"), course], *over]
    cpu_first = platform.system() == "Linux" and not torch and not shutil.which("nvidia-smi")
    return [*([[*pip, "--index-url", CPU_BUILD, "torch"]] if cpu_first else []), [*pip, course], *over]


def stop(why: str) -> int:
    print(why, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
