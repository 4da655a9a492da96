"""`course report` of a class that was really graded."""

import json
import shutil

from tiny_class import LESSON, MARKS, write_hand_in

from autograder.cli import main


def test_a_graded_class_is_reported_from_its_checkout(first_run, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "course"
    shutil.copytree(first_run, folder)
    write_hand_in(folder, "dana", {})  # not graded yet
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.chdir(folder)
    assert main(["report", "--names"]) == 0
    (lesson,) = json.loads((folder / "report" / "report.json").read_text())["lessons"]
    assert {one["name"]: one["points"] for one in lesson["students"]} == MARKS
    assert (lesson["lesson"], lesson["max_points"], lesson["ungraded"]) == (LESSON, 3.0, ["dana"])
    exercises = {one["name"]: one for one in lesson["exercises"]}
    assert exercises["tiny_double"]["passed"]["value"] == 2 / 3
    assert [check["passed"]["value"] for check in exercises["tiny_double"]["checks"]] == [2 / 3, 2 / 3]
    assert all(path.read_bytes() == content for path, content in before.items())  # it reads, and nothing more
    page = (folder / "report" / "report.html").read_text()
    assert "“" not in page.partition("<h3>Marks")[0]  # of three students nothing is said to be odd


def test_nothing_to_report_is_said_in_a_line(first_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(first_run)
    assert main(["report", "02-vae", "--to", str(tmp_path)]) == 2
    assert "nothing of 02-vae has been graded" in capsys.readouterr().err
    assert main(["report", "--out", str(tmp_path)]) == 2
    assert "run `course grade` first" in capsys.readouterr().err
