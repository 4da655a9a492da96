"""The pictures that lessons end with: made by the cell below the switch, kept under the names in the lesson's text."""

import io

import pytest
from PIL import Image

from autograder.builder.source import read_lesson
from benchmarks import prizes

LESSON = """
# %%
side = 3

# %% tags=["experiment"]
side = 4  # is not run

# %% [markdown]
# ![A square](square.kept.png)

# %% tags=["open"]
LARGE = False  # True: draw the square

# %% tags=["experiment"]
# The prize
import torch
from course_lib import plots

if LARGE:
    plots.show(plots.image_grid(torch.zeros(1, side, side), 1, zoom=9), alt="A square.")
"""


@pytest.fixture
def lesson(tmp_path):
    source = tmp_path / "solutions" / "01-tiny" / "tiny.py"
    source.parent.mkdir(parents=True)
    source.write_text(LESSON, encoding="utf-8")
    return read_lesson(source, tmp_path)


def test_a_prize_is_made_with_the_switch_set_and_without_the_experiments(lesson, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prizes, "CHECKPOINTS", tmp_path / "kept")
    monkeypatch.chdir(tmp_path)
    for module in (prizes.picture, prizes.film):
        monkeypatch.setattr(module, "display_png", module.display_png)  # put back afterwards
    prizes.write(lesson)
    image = Image.open(io.BytesIO((lesson.path.parent / "square.kept.png").read_bytes()))
    assert image.size[0] == pytest.approx(2 * (3 * 9 + 10), abs=2)  # three pixels, not four
    assert "A square." in capsys.readouterr().out


def test_every_lesson_with_a_switch_has_it_off():
    found = [
        path.parent.name
        for path in sorted((prizes.ROOT / "solutions").glob("*/*.py"))
        if "LARGE = " in path.read_text()
    ]
    assert found == ["02-vae", "06-sampling"]
    for name in found:
        (source,) = prizes.find_lessons(prizes.ROOT, [name])
        switches = [cell.source for cell in read_lesson(source, prizes.ROOT).cells if cell.source.startswith("LARGE")]
        assert len(switches) == 1 and switches[0].startswith(prizes.SWITCH)
