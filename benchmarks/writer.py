"""Finished results stored by the build of commit b983290 and by this one: what the one writer of a large class takes.

    python -m benchmarks.writer [--then CHECKOUT] [--count 20000] [--url then=URL --url now=URL]

Three graded submissions of 02-vae are stored again and again under other names, grade book and feedback page both, into
SQLite or into an empty database for each build. Pages that workers render are rendered beforehand. Processor time of
the writer: its median over the first and over the last tenth tells whether it stays the same. Writes
results/writer.{json,md} beside this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from .grading import COMMIT, INSIDE, RESULTS, ROOT, Build, build_of_then


def replayed(build: Build, work: Path, count: int, url: str) -> dict[str, Any]:
    """Medians of the seconds for one result, in all and of the first and last tenth, and peak memory in MiB."""
    folder, file = work / build.name, work / f"{build.name}.json"
    build.run(str(INSIDE), "class", str(folder / "class"), "3")
    build.run(str(INSIDE), "writer", str(folder / "class"), str(folder / "out"), str(file), str(count), url)
    held = json.loads(file.read_text())
    seconds, tenth = held["seconds"], max(count // 10, 1)
    parts = {"all": seconds, "first tenth": seconds[:tenth], "last tenth": seconds[-tenth:]}
    return {**{name: statistics.median(part) for name, part in parts.items()}, "peak_mib": held["peak_mib"]}


def report(result: dict[str, Any]) -> str:
    """Both builds side by side, in Markdown."""
    rows = [
        f"| {name} | {then:.4f} | {now:.4f} | {now / then:.2f} |"
        for name in ("all", "first tenth", "last tenth")
        for then, now in [(result["then"][name], result["now"][name])]
    ]
    peaks = [result[build]["peak_mib"] for build in ("then", "now")]
    return "\n".join(
        [
            "# Storing finished results",
            "",
            f"{result['count']} results of 02-vae into {result['database']}, by the build of {COMMIT} and by this one: "
            "median processor time of the writer for one, s. Made by `python -m benchmarks.writer`.",
            "",
            "| results | then | now | ratio |",
            "|---|--:|--:|--:|",
            *rows,
            "",
            "Peak memory after the first and the last tenth, MiB: "
            + "; ".join(
                f"{name} {peak[0]:.0f}, {peak[-1]:.0f}" for name, peak in zip(("then", "now"), peaks, strict=True)
            )
            + ".",
            "",
        ]
    )


def main() -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--then", type=Path, help=f"a checkout of {COMMIT} with its environment in .venv")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument(
        "--url", action="append", default=[], metavar="BUILD=URL", help="an empty database of a build's"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: benchmarks/results")
    options = parser.parse_args()
    urls = dict(text.split("=", 1) for text in options.url)
    with tempfile.TemporaryDirectory() as name, build_of_then(options.then) as then:
        builds = [then, Build("now", ROOT, sys.executable)]
        result: dict[str, Any] = {
            build.name: replayed(build, Path(name), options.count, urls.get(build.name, "")) for build in builds
        }
    result |= {"count": options.count, "database": "PostgreSQL" if urls else "SQLite"}
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "writer.json").write_text(json.dumps(result, indent=2) + "\n")
    text = report(result)
    (options.results / "writer.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
