"""`course pack` and `course site`: options in, exit status out."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ..builder.declared import declared
from ..builder.lag import stale
from ..builder.source import find_lessons
from ..checkout import course_root
from .answers import asked_for, shown_in
from .pack import PackError, pack, zipped
from .site import SiteError, site


def run_pack(options: argparse.Namespace) -> int:
    """`course pack LESSON… [--wheels] [--to FILE]`; 1 where a notebook lags its source or pip fails."""
    root = course_root()
    sources = find_lessons(root, options.lessons)
    lagging = [str(line) for source in sources for line in stale(source, root, declared(source.parent.name))]
    if lagging:
        print("\n".join(lagging), file=sys.stderr)
        return 1
    notebooks = [root / "notebooks" / source.parent.name / f"{source.stem}.ipynb" for source in sources]
    named = "-".join(source.parent.name for source in sources)
    to = options.to or root / "build" / f"generative-models-{named}.zip"
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = zipped(pack(root, notebooks, options.wheels, options.torch_index, Path(folder)), to)
    except (PackError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{made} ({made.stat().st_size / 1e6:.1f} MB)")
    asked = asked_for(root)
    for notebook in notebooks:
        lesson = notebook.parent.name
        for earlier, names in shown_in(notebook, lesson, asked).items():
            print(f"{lesson} shows answers of {earlier} ({', '.join(names)}): hand it out when these are in")
    return 0


def run_site(options: argparse.Namespace) -> int:
    """`course site [LESSON…] [--to DIR]`; 1 where Sphinx has something to say."""
    root = course_root()
    lessons = find_lessons(root, options.lessons)
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = site(root, lessons, options.to or root / "build" / "site", Path(folder))
    except (SiteError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(made / "index.html")
    return 0
