"""`course check`: options in, exit status out."""

from __future__ import annotations

import argparse
import time

from rich.console import Console

from ..builder.source import find_lessons
from ..checkout import course_root
from .check import check


def run_check(options: argparse.Namespace) -> int:
    """`course check LESSON`; 0 when all proofs hold, 1 when some do not."""
    root, console = course_root(), Console(highlight=False, soft_wrap=True)
    (source,) = find_lessons(root, [options.lesson])
    wrong, begun = 0, time.process_time()
    for proof in check(source, root):
        mark = "[red]✗[/red]" if proof.problems else "[green]✓[/green]"
        console.print(f"{mark} {proof.name}: {proof.about}" if proof.about else f"{mark} {proof.name}")
        for problem in proof.problems:
            console.print(f"  {problem}", markup=False)
        wrong += len(proof.problems)
    said = f"{wrong} things to mend" if wrong > 1 else "one thing to mend" if wrong else "all proofs hold"
    console.print(f"{options.lesson}: {said}, {time.process_time() - begun:.0f} s of processor time")
    return int(bool(wrong))
