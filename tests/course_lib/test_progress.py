"""Does `track` hand on every item once, and show a bar only where somebody watches?"""

import pytest

from course_lib import track


@pytest.fixture(autouse=True)
def watched(monkeypatch):
    monkeypatch.delenv("COURSE_PROGRESS", raising=False)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)


@pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")
def test_every_item_comes_once_under_a_bar(capsys):
    assert list(track(iter("abc"), "spelling")) == ["a", "b", "c"]
    assert "spelling" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["COURSE_PROGRESS", "NBGRADER_EXECUTION"])
def test_nothing_is_shown_where_nobody_watches(variable, monkeypatch, capsys):
    monkeypatch.setenv(variable, "off")
    assert list(track(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
