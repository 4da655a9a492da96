"""`course build`: options in, exit status out."""

from __future__ import annotations

import argparse

from ..checkout import WrongCall, course_root
from .declared import declared
from .lag import orphans, stale
from .source import find_lessons


def run_build(options: argparse.Namespace) -> int:
    """`course build [--check | --draft --to DIR] [LESSON…]`."""
    if options.draft != (options.to is not None) or (options.draft and options.check):
        raise WrongCall("--draft and --to DIR go together, and without --check")
    root = course_root()
    sources = find_lessons(root, options.lessons)
    if not options.check:
        from .building import build_or_say_why_not  # PyTorch, nbgrader and a kernel: nothing that `--check` needs

        return max([build_or_say_why_not(source, root, options.to) for source in sources], default=0)
    lines = [str(line) for source in sources for line in stale(source, root, declared(source.parent.name))]
    lines += [] if options.lessons else map(str, orphans(root))
    print("\n".join(lines) or f"up to date: {', '.join(source.parent.name for source in sources) or 'no lessons'}")
    return 1 if lines else 0
