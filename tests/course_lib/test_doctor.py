"""Things are broken on purpose: does the doctor see it, and say how to mend it?"""

import io
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course_lib import data, doctor
from course_lib.doctor import findings
from course_lib.doctor.findings import BROKEN, MARKS, OPTIONAL, PLAIN_MARKS, WORKS, Finding, Report, as_text, examine

ROOT = Path(__file__).resolve().parents[2]


def only(probe):
    (finding,) = probe()
    return finding


def python(code, *, without=(), **options):
    """A fresh Python in which importing some modules fails."""
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in without)
    line = [sys.executable, "-c", f"import sys; {blocked}{code}"]
    return subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT, **options)


def test_here_everything_a_student_needs_works():
    report = examine(doctor.student_probes())
    assert report.healthy, report.as_json()
    assert {finding.what for finding in report.findings} == set(doctor.student_probes())


@pytest.mark.parametrize("wrong, status", [("numpy", BROKEN), ("jupyterlab", OPTIONAL)])
def test_a_missing_package_and_an_old_one(monkeypatch, wrong, status):
    genuine = metadata.version

    def version(name):
        if name == wrong:
            raise metadata.PackageNotFoundError(name)
        return genuine(name)

    monkeypatch.setattr(metadata, "version", version)
    finding = next(finding for finding in doctor.packages() if finding.status != WORKS)
    assert (finding.status, finding.text) == (status, f"{wrong} is missing")
    assert finding.remedy.startswith(f"python -m pip install '{wrong}") and ">=" in finding.remedy
    monkeypatch.setattr(metadata, "version", lambda name: "0.1" if name == wrong else genuine(name))
    finding = next(finding for finding in doctor.packages() if finding.status != WORKS)
    assert finding.text.startswith(f"{wrong} 0.1 is not ") and wrong in finding.remedy


def test_a_package_that_an_extra_of_another_asks_for_is_looked_at(monkeypatch):
    asked = {"mine": ["other[fast]>=1"], "other": ["slow", 'quick>=2; extra == "fast"', 'odd; extra == "test"']}
    monkeypatch.setattr(metadata, "distribution", asked.get)
    monkeypatch.setattr(metadata, "requires", asked.get)
    monkeypatch.setattr(metadata, "version", lambda name: "1.5")
    assert only(lambda: list(doctor.packages("mine", ()))).text == "quick 1.5 is not >=2"


def test_not_installed_at_all():
    (finding,) = doctor.packages("course_of_nobody")
    assert finding.status == BROKEN and "python start.py --install" in finding.remedy


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version", "3.9.1 (main)")
    finding = only(doctor.python)
    assert finding.status == BROKEN and "3.9.1" in finding.text and "Python >=3.11" in finding.remedy


@pytest.mark.parametrize("module", ["torch", "numpy", "sklearn", "matplotlib", "packaging", "psutil", "ipywidgets"])
def test_no_traceback_whatever_cannot_be_imported(module):
    code = "import runpy; sys.argv = ['doctor', '--json']; runpy.run_module('course_lib.doctor', run_name='__main__')"
    done = python(code, without=[module])
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1)
    if module in ("torch", "numpy", "sklearn", "matplotlib"):
        assert not report["ok"]
        broken = [finding for finding in report["findings"] if finding["status"] == BROKEN]
        assert any(module in finding["text"] for finding in broken) and all(finding["remedy"] for finding in broken)


def test_a_name_that_cannot_be_had_from_course_lib_leads_to_the_doctor():
    done = python("from course_lib import fit", without=["torch"])
    assert "ImportError: import of torch halted" in done.stderr.splitlines()[-1]
    assert "`python -m course_lib.doctor`" in done.stderr.splitlines()[-1]
    done = python("import course_lib; course_lib.nothing", without=["torch"])
    assert "has no attribute 'nothing'" in done.stderr


@pytest.mark.parametrize("cores, threads, status", [(2, 8, OPTIONAL), (8, 8, WORKS), (1, 1, WORKS)])
def test_more_threads_than_cores(monkeypatch, cores, threads, status):
    monkeypatch.setattr(doctor, "usable_cores", lambda: cores)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    finding = only(doctor.processor)
    assert finding.status == status
    assert finding.remedy == ("set OMP_NUM_THREADS=2" if status == OPTIONAL else "")


@pytest.mark.parametrize("quota, cores", [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 64), ("", 64)])
def test_a_containers_share_of_the_cores(monkeypatch, quota, cores):
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda pid: range(64), raising=False)
    monkeypatch.setattr(doctor, "_control_group", lambda name: quota if name == "cpu.max" else "")
    assert doctor.usable_cores() == cores


def test_no_gpu(monkeypatch):
    monkeypatch.delenv("COURSE_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda tool: None)
    assert only(doctor.gpu) == Finding("GPU", OPTIONAL, "none; every lesson is made to run without")
    monkeypatch.setattr(doctor.shutil, "which", lambda tool: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(torch.version, "cuda", None)
    finding = only(doctor.gpu)
    assert finding.status == OPTIONAL and "without CUDA" in finding.text and "pytorch.org" in finding.remedy
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "driver must be new enough for CUDA 13.0" in only(doctor.gpu).remedy


def test_a_gpu_that_does_not_compute(monkeypatch):
    def fail(*shape, device):
        raise RuntimeError("CUDA error: no kernel image is available\nand much more")

    monkeypatch.delenv("COURSE_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 2**33))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old Card")
    monkeypatch.setattr(torch, "ones", fail)
    finding = only(doctor.gpu)
    assert finding.status == BROKEN and "COURSE_DEVICE=cpu" in finding.remedy
    assert finding.text == "Old Card, 1.0 of 8.0 GiB free, but CUDA error: no kernel image is available"


@pytest.mark.parametrize("name", ["gpu9", "cuda"])
def test_a_device_that_is_asked_for_and_not_there(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("COURSE_DEVICE", name)
    finding = only(doctor.gpu)
    assert finding.status == BROKEN and f"COURSE_DEVICE='{name}'" in finding.text and "cpu" in finding.remedy


def test_too_little_memory(monkeypatch):
    monkeypatch.setattr(doctor, "available_memory", lambda: 100 * 2**20)
    finding = only(doctor.memory)
    assert finding.status == BROKEN and finding.text.startswith("0.1 GiB free") and "close" in finding.remedy
    monkeypatch.setattr(doctor, "available_memory", lambda: None)
    assert only(doctor.memory).status == OPTIONAL


def test_a_containers_share_of_the_memory(monkeypatch):
    group = {"memory.max": str(2**30), "memory.current": str(2**29), "memory.stat": f"anon 5\ninactive_file {2**28}"}
    monkeypatch.setattr(doctor, "_control_group", lambda name: group.get(name, ""))
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=2**40)))
    assert doctor.available_memory() == 2**29 + 2**28
    group["memory.max"] = "max"
    assert doctor.available_memory() == 2**40


def test_a_folder_that_cannot_be_written_to_and_a_full_disk(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    finding = only(doctor.disk)
    assert finding.status == BROKEN and "make room" in finding.remedy

    def refuse(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    finding = only(doctor.disk)
    assert finding.status == BROKEN and "(Permission denied)" in finding.text and finding.remedy


def test_data(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "mnist_copy", lambda: tmp_path / "copy.npz")
    finding = only(doctor.mnist)
    assert finding.status == OPTIONAL and "course_lib.data.mnist()" in finding.remedy
    (tmp_path / "copy.npz").touch()
    assert only(doctor.mnist).status == WORKS
    monkeypatch.setattr(data, "digits", lambda split, device: torch.zeros(3, 64))
    assert examine({"digits": doctor.digits}).findings[0].text == "ValueError: 6 digits instead of 1797"


def test_whatever_a_probe_or_the_estimate_raises_becomes_a_finding():
    def broken():
        yield Finding("one", WORKS, "well")
        raise KeyError("x" * 1000 + "\nsecond line")

    def times():
        raise OSError("the record is gone")

    report = examine({"one": broken, "two": lambda: [Finding("two", WORKS, "well")]}, times)
    assert [finding.status for finding in report.findings] == [WORKS, BROKEN, WORKS, OPTIONAL]
    assert "\n" not in report.findings[1].text and len(report.findings[1].text) < 200 and report.findings[1].remedy
    assert report.findings[3].text == "OSError: the record is gone"
    assert not report.healthy and report.verdict.startswith("To mend: 1")


LONG = Report(
    [
        Finding("Python", WORKS, "3.11"),
        Finding("packages", BROKEN, "a word and another " * 12, "python -m pip install " + "package " * 12),
    ],
    {"01-elbo": 12.4, "02-vae": 131.0},
)


@pytest.mark.parametrize("width", [80, 120])
def test_the_report_keeps_to_the_terminal_and_to_its_columns(width):
    lines = as_text(LONG, width, MARKS).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0] == "✓ Python    3.11" and lines[1].startswith("✗ packages  a word")
    assert all(line.startswith(" " * 12) for line in lines[2 : lines.index("")])
    assert any(line.strip().startswith("→ python -m pip") for line in lines)
    assert "  01-elbo  10 s" in lines and "  02-vae   2 min 10 s" in lines
    assert lines[-1] == "To mend: 1; how stands beneath each."


def test_a_terminal_that_knows_no_marks():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    assert findings.marks_for(stream) is PLAIN_MARKS
    print(as_text(LONG, 80, PLAIN_MARKS), file=stream, flush=True)
    assert stream.buffer.getvalue().splitlines()[1].startswith(b"X packages  a word")
    assert findings.marks_for(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) is MARKS


@pytest.mark.parametrize("seconds, text", [(0.1, "5 s"), (62, "1 min"), (117, "1 min 55 s"), (118, "2 min")])
def test_durations(seconds, text):
    assert findings.duration(seconds) == text


@pytest.mark.parametrize("status", [WORKS, OPTIONAL, BROKEN])
def test_exit_status_and_json(monkeypatch, capsys, status):
    monkeypatch.setattr(doctor, "student_probes", lambda: {"a": lambda: [Finding("a", status, "it is so", "do it")]})
    monkeypatch.setattr(doctor, "lesson_times", lambda: {"01-elbo": 12.34})
    assert doctor.main(["--json"]) == (status == BROKEN)
    assert json.loads(capsys.readouterr().out) == {
        "ok": status != BROKEN,
        "findings": [{"what": "a", "status": status, "text": "it is so", "remedy": "do it"}],
        "lesson_seconds": {"01-elbo": 12.3},
    }
    assert doctor.main([]) == (status == BROKEN)
    assert "it is so" in capsys.readouterr().out
