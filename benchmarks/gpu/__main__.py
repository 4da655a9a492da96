"""Run all parts on this machine's card (`benchmarks/on_gpu.sh`); gpu.json, gpu.md and log.txt grow in OUT.

python -m benchmarks.gpu [--rehearse] OUT
"""

import argparse
import shutil
import sys
import time
from pathlib import Path

import torch

from benchmarks.gpu import page, parts
from benchmarks.training.clock import machine, versions
from benchmarks.training.results import Part as Record


def main() -> int:
    """The number of parts that failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, short, with useless numbers")
    parser.add_argument("--only", nargs="+", default=[], help="names of parts; the others keep their results in OUT")
    parser.add_argument("out", type=Path, help="folder for the results")
    options = parser.parse_args()
    out = options.out.resolve()
    if not options.rehearse and not torch.cuda.is_available():
        print("no card is found by this PyTorch; `benchmarks/on_gpu.sh rehearse OUT` runs on the CPU", file=sys.stderr)
        return 2
    device = torch.device("cpu" if options.rehearse else "cuda")
    shutil.rmtree(out / "parts", ignore_errors=True)
    rows = [[p for p in row if not options.only or p.name in options.only] for row in parts.plan(out, options.rehearse)]
    identity = {"machine": machine(device), "versions": versions(), "rehearsal": options.rehearse}
    record = Record.open(out / "gpu.json", "gpu", identity, again=not options.only)
    environment = {"COURSE_DEVICE": str(device), "COURSE_PROGRESS": "off", "MPLBACKEND": "Agg"}
    environment["COURSE_BUDGET"] = "short" if options.rehearse else "full"
    log, started = out / "log.txt", time.perf_counter()
    log.write_text("")
    for row in filter(None, rows):
        names = ", ".join(part.name for part in row)
        print(f"[{time.perf_counter() - started:4.0f} s] {names}", flush=True)
        for name, found in parts.run(row, log, environment):
            record.data[name] = found
            record.save()
            (out / "gpu.md").write_text(page.page(record, out / "training.json"))
    shutil.rmtree(out / "parts")
    print((out / "gpu.md").read_text())
    return sum(bool(found["exit"]) for found in record.data.values())


if __name__ == "__main__":
    sys.exit(main())
