"""The simulated class, stored once and reported once."""

import csv
import json
from typing import NamedTuple

import pytest
from bs4 import BeautifulSoup, Tag
from simulated_class import Class, report, simulate, store

from autograder.checkout import course_root, course_secret
from autograder.report.summary import called


class Reported(NamedTuple):
    """What was simulated, the page that shows it, and who is who on it."""

    made: Class
    page: Tag
    folder: object
    student: dict  # the real name, by what the page calls a student


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    out, root = tmp_path_factory.mktemp("class"), course_root()
    made = simulate(root)
    store(made, root, out)
    return made, out


@pytest.fixture(scope="session")
def reported(stored):
    made, out = stored
    report(out)
    everybody = sorted({path.name for path in (out / "submitted").iterdir()} | {f"nobody-{n}" for n in range(6)})
    call = called(everybody, False, course_secret(course_root()))
    text = (out / "report" / "report.html").read_text(encoding="utf-8")
    return Reported(made, BeautifulSoup(text, "html.parser"), out / "report", {call(name): name for name in everybody})


@pytest.fixture(scope="session")
def held(reported):
    """The JSON, of its one lesson."""
    (lesson,) = json.loads((reported.folder / "report.json").read_text(encoding="utf-8"))["lessons"]
    return lesson


@pytest.fixture(scope="session")
def table(reported):
    def read(name):
        with (reported.folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return read
