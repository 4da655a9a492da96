"""Is the course's secret made once, for its owner alone, and never by two at once?"""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from autograder.checkout import SECRET, SECRET_VARIABLE, course_secret


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch):
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)


def test_the_secret_is_made_on_first_use_and_then_stays(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(course_secret, [tmp_path] * 40))
    assert len(found) == 1 and found == {course_secret(tmp_path)}
    assert [path.name for path in tmp_path.iterdir()] == [SECRET]
    assert stat.S_IMODE((tmp_path / SECRET).stat().st_mode) == 0o600
    assert len(found.pop()) == 64


def test_two_courses_have_two_secrets(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    assert len({course_secret(folder) for folder in folders}) == 2


def test_a_secret_that_is_given_is_taken_and_nothing_written(tmp_path, monkeypatch):
    monkeypatch.setenv(SECRET_VARIABLE, "from elsewhere")
    assert course_secret(tmp_path) == "from elsewhere" and not list(tmp_path.iterdir())


def test_where_there_can_be_none_the_remedy_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=SECRET_VARIABLE):
        course_secret(tmp_path / "nowhere")
    (tmp_path / SECRET).write_text("")
    with pytest.raises(FileNotFoundError, match="is empty"):
        course_secret(tmp_path)
