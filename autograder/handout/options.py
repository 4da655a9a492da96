"""What `course pack` and `course site` can be told, without what they import."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

from .start import CPU_BUILD


def add_pack(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course pack`."""
    parser = commands.add_parser(
        "pack",
        description="One zip: student notebooks, course_lib, start scripts, a page of instructions; no solutions.",
    )
    parser.add_argument("lessons", nargs="+", metavar="LESSON", help="such as 02-vae")
    parser.add_argument("--to", type=Path, metavar="FILE", help="default: build/generative-models-LESSON.zip")
    parser.add_argument(
        "--wheels",
        action="store_true",
        help="with all packages, for machines without a network (of this system and Python)",
    )
    parser.add_argument(
        "--torch-index",
        metavar="URL",
        default=CPU_BUILD if platform.system() == "Linux" else "",
        help="with --wheels: where PyTorch's CPU build is; \"\" for pip's own index (default: %(default)r)",
    )


def add_site(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `course site`."""
    parser = commands.add_parser(
        "site",
        description="Needs what pip install '.[site]' brings. Runs no notebook; shows no answer.",
    )
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="such as 02-vae; all lessons if none is named")
    parser.add_argument("--to", type=Path, metavar="DIR", help="default: build/site")
