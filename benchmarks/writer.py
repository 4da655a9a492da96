"""Finished results stored by the build of commit b983290 and by this one: what the one writer of a large class takes.

    python -m benchmarks.writer [--then CHECKOUT] [--count 20000] [--few 500] [--postgresql /usr/lib/postgresql/15/bin]

Three graded submissions of 02-vae are stored again and again under other names, grade book, notebook and feedback page,
into SQLite, or into a PostgreSQL of one's own, started from that folder of programs for the run on a Unix socket; what
results/writer.json holds of the other stays. This build stores what comes together
in one transaction, and its workers render pages; both is so here, and results that come one by one are measured beside
it. Processor time of the writer: its median over the first and over the last tenth tells whether it stays the same. How
long a class of 100,000 takes follows from it, and from what a submission takes by results/grading.json. Writes
results/writer.{json,md} beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from .grading import COMMIT, INSIDE, RESULTS, ROOT, Build, build_of_then, say

TOGETHER = 32  # as `autograder.grading.workers` has it
WORKERS = (2, 4, 8, 16, 32, 64, 128, 256)
CLASS = 100_000
PARTS = ("all", "first tenth", "last tenth")
NAMES = {"then": "then", "now": "now", "single": "now, one by one"}


def replayed(build: Build, work: Path, count: int, together: int, url: str) -> dict[str, Any]:
    """Medians of the seconds for one result, in all and of the first and last tenth, and peak memory in MiB."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        out, file = Path(name) / "out", Path(name) / "seconds.json"
        build.run(str(INSIDE), "class", str(Path(name) / "class"), "3")
        about = str(out), str(file), str(count), str(together), url
        build.run(str(INSIDE), "writer", str(Path(name) / "class"), *about)
        held = json.loads(file.read_text())
    seconds, tenth = held["seconds"], max(count // 10, 1)
    parts = zip(PARTS, (seconds, seconds[:tenth], seconds[-tenth:]), strict=True)
    return {"count": count, "peak_mib": held["peak_mib"], **{part: statistics.median(some) for part, some in parts}}


def report(result: dict[str, Any], submission: float) -> str:
    """Both builds side by side, and what a large class takes, in Markdown."""
    lines = [
        "# Storing finished results",
        "",
        f"Results of 02-vae stored by the build of {COMMIT}, whose writer renders the page as well, and by this one, "
        f"{TOGETHER} together or one by one: median processor time of the writer for one, ms. Made by `python -m "
        "benchmarks.writer`.",
        "",
        *([result["note"], ""] if result["note"] else []),
        "| | then | now | ratio | now, one by one | ratio |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    tails: list[str] = []
    for database, builds in result["databases"].items():
        then, now, single = builds["then"], builds["now"], builds["single"]
        for part in PARTS:
            ratios = now[part] / then[part], single[part] / then[part]
            lines.append(
                f"| {database}, {part} | {1e3 * then[part]:.1f} | {1e3 * now[part]:.1f} | {ratios[0]:.2f} "
                f"| {1e3 * single[part]:.1f} | {ratios[1]:.2f} |"
            )
        tails += [
            f"{database}, {told}: {held['count']:,} results; peak memory {held['peak_mib'][0]:.0f} MiB after the first "
            f"tenth, {held['peak_mib'][-1]:.0f} MiB at the end."
            for name, told in NAMES.items()
            for held in [builds[name]]
        ]
    writer = max(builds["now"]["all"] for builds in result["databases"].values())
    lines += ["", *(f"- {tail}" for tail in tails)]
    lines += [
        "",
        f"A class of {CLASS:,}, where a submission takes a worker {submission:.2f} s and the writer "
        f"{1e3 * writer:.1f} ms of processor time, each on a core of its own: computed, not run.",
        "",
        "| workers | hours of grading | hours of the writer | the class takes |",
        "|--:|--:|--:|--:|",
    ]
    for count in WORKERS:
        grading, storing = CLASS * submission / count / 3600, CLASS * writer / 3600
        lines.append(f"| {count} | {grading:.2f} | {storing:.2f} | {max(grading, storing):.2f} h |")
    return "\n".join([*lines, ""])


@contextmanager
def running(programs: Path) -> Iterator[dict[str, str]]:
    """A PostgreSQL that listens on a Unix socket alone, as the user `postgres` where this one is root, which it does
    not serve; by run the URL of an empty database.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        user = "postgres" if os.geteuid() == 0 else None
        about: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, "user": user}
        if user:
            shutil.chown(folder, user)
        where = ["-D", str(folder / "data")]
        told = f"-c listen_addresses= -c unix_socket_directories={folder}"
        subprocess.run([programs / "initdb", *where, "-A", "trust", "-U", "course"], check=True, **about)
        log = str(folder / "log")
        subprocess.run([programs / "pg_ctl", *where, "-o", told, "-l", log, "-w", "start"], check=True, **about)
        try:
            for run in NAMES:
                subprocess.run([programs / "createdb", "-h", name, "-U", "course", run], check=True, **about)
            yield {run: f"postgresql+psycopg://course@/{run}?host={name}" for run in NAMES}
        finally:
            subprocess.run([programs / "pg_ctl", *where, "-m", "fast", "stop"], check=True, **about)


def main() -> None:
    """Measure, print, and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--then", type=Path, help=f"a checkout of {COMMIT} with its environment in .venv")
    parser.add_argument("--count", type=int, default=20_000, help="results for this build (%(default)s)")
    parser.add_argument("--few", type=int, default=500, help="for that of then, and one by one (%(default)s)")
    parser.add_argument("--postgresql", type=Path, metavar="BIN", help="where initdb, pg_ctl and createdb are")
    parser.add_argument("--results", type=Path, default=RESULTS, help="default: benchmarks/results")
    parser.add_argument("--note", default="", help="what else is to be known of this run")
    options = parser.parse_args()
    kind, file = "PostgreSQL" if options.postgresql else "SQLite", options.results / "writer.json"
    result = json.loads(file.read_text()) if file.exists() else {}
    found: dict[str, Any] = {}
    server = running(options.postgresql) if options.postgresql else nullcontext({})
    with tempfile.TemporaryDirectory() as name, build_of_then(options.then) as then, server as urls:
        now = Build("now", ROOT, sys.executable)
        runs = {"then": (then, options.few, 1), "single": (now, options.few, 1), "now": (now, options.count, TOGETHER)}
        for run, (build, count, together) in runs.items():
            say(f"{kind}: {count} results, {NAMES[run]}")
            found[run] = replayed(build, Path(name), count, together, urls.get(run, ""))
    result = {"databases": {**result.get("databases", {}), kind: found}, "note": options.note or result.get("note", "")}
    phases = next(iter(json.loads((RESULTS / "grading.json").read_text())["now"]["phases"].values()))
    options.results.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n")
    text = report(result, phases["run and mark"][1] + phases["page"][1])
    (options.results / "writer.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
