"""The site, by one of its lessons: it answers nothing, needs nobody, and says what the lesson says."""

import re
from html import unescape
from pathlib import Path

import nbformat
import pytest
from hidden_lines import ROOT, secrets_of
from playwright.sync_api import sync_playwright

from autograder.cli import main
from autograder.exercise import lesson_names
from autograder.handout.answers import asked_for
from autograder.handout.mathml import equation
from autograder.handout.site import lesson_page, linked, prose

LESSON, NAME = "05-posterior", "posterior"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of one lesson and all guides."""
    to = tmp_path_factory.mktemp("site") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        assert main(["site", LESSON, "--to", str(to)]) == 0
    return to


@pytest.fixture(scope="module")
def page(site):
    return (site / f"lessons/{LESSON}.html").read_text(encoding="utf-8")


def words(page: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", page))


def test_a_page_holds_no_answer(page):
    said = words(page)
    assert [line for line in secrets_of(LESSON) if line in said] == []
    assert "hidden checks run here" not in said and "autograder" not in said


def test_what_an_earlier_lesson_asks_for_is_left_out(page):
    said = words(page)
    assert "def q_sample" not in said and "return torch.cumprod(1 - beta, 0)" not in said
    assert "From lesson 04: schedules and the forward sample: as you wrote it there" in said


def test_an_answer_on_a_page_would_be_found(page):
    secret = secrets_of(LESSON)[3]
    assert secret not in words(page) and secret in words(page.replace("</article>", f"{secret}</article>"))


def test_every_equation_is_there_and_numbered_once(page):
    cells = nbformat.read(ROOT / f"notebooks/{LESSON}/{NAME}.ipynb", as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    tags = re.findall(r"\\tag\{([^}]*)\}", prose)
    shown = re.findall(r'<span class="number">\(([^)]*)\)|<mtext>\(([^)]*)\)</mtext>', page)
    assert sorted(one or other for one, other in shown) == sorted(tags) and len(tags) == len(set(tags)) > 10
    outside_code = words(re.sub(r"<(pre|script|style)\b.*?</\1>", "", page, flags=re.S))
    assert re.findall(r"\$\S.{0,40}|\\(?:frac|tag|bar|mid|mathbb)\b", outside_code) == []


def test_mathematics_in_folds_and_bars_in_tables():
    folded = prose(
        "<details><summary>Lines (1), with $q$</summary>\n\n$$a \\mid b \\tag{1}$$\n\nand $x_t$.\n\n</details>"
    )
    assert folded.count("<math") == 3 and folded.count("(1)</mtext>") == 1 and "$" not in folded
    assert "$\\vert x\\vert $" in prose("| a | b |\n|---|---|\n| $|x|$ | c |")
    assert equation("a = b \\tag{3}").count("(3)") == 1


def test_a_page_is_small_and_loads_nothing_from_elsewhere(site, page):
    asked = re.findall(r'<(?:script|link|img)\b[^>]*?\b(?:src|href)="([^"#?]*)', page)
    assert [address for address in asked if re.match(r"(https?:)?//", address)] == []
    files = {(site / "lessons" / address).resolve() for address in asked if not address.endswith(".html")}
    assert all(file.is_file() for file in files)
    assert len(page.encode()) + sum(file.stat().st_size for file in files if file.suffix != ".png") < 1e6


def test_pictures_have_words_and_those_that_need_answers_are_folded(page):
    pictures = re.findall(r'<img class="figure"[^>]*alt="([^"]+)"', page)
    assert len(pictures) > 5
    assert page.index("What came out, with right answers above") > page.index(
        '<img class="figure"'
    )  # the first is open
    folds = re.findall(r"<details>\s*<summary>What came out.*?</details>", page, re.S)
    assert 1 <= len(folds) < len(pictures) and all("<img" in fold for fold in folds)


def test_given_code_is_folded_under_its_first_line(page):
    cells = nbformat.read(ROOT / f"notebooks/{LESSON}/{NAME}.ipynb", as_version=4).cells
    given = [cell.source.splitlines()[0][2:] for cell in cells if cell.metadata.get("jupyter", {}).get("source_hidden")]
    summaries = [words(found) for found in re.findall(r"<summary.*?</summary>", page, re.S)]
    missing = [line for line in given if not any(line in summary for summary in summaries)]
    assert [line for line in missing if "hidden checks run here" not in line and "From lesson" not in line] == []


def test_the_catalogue_leads_to_each_exercise(site, page):
    catalogue = (site / "exercises.html").read_text(encoding="utf-8")
    places = re.findall(rf'href="lessons/{LESSON}.html#(ask-\w+)"', catalogue)
    assert len(places) > 10 and all(f'id="{place}"' in page for place in places)
    assert "q_posterior" in (site / "searchindex.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("lesson", lesson_names())
def test_a_page_has_all_its_pictures(lesson, tmp_path):
    path = f"{lesson}/{lesson.partition('-')[2]}.ipynb"
    student, built = (nbformat.read(ROOT / kind / path, as_version=4) for kind in ("notebooks", "solutions"))
    text = "".join(cell.source for cell in lesson_page(lesson, student, built, asked_for(ROOT), tmp_path).cells)
    shown = re.findall(r'src="../pictures/([^"]+)"', text)
    assert "attachment:" not in text and shown and all((tmp_path / one).stat().st_size for one in shown)


def test_links_lead_to_the_sites_pages_or_are_words():
    pages = {"docs/samplers.md": "samplers"}
    there = linked(
        "See [*the* table](../../docs/samplers.md#a) and [x](gone.md).", Path("notebooks/07-score"), pages, "../"
    )
    assert there == 'See <a href="../samplers.html#a"><em>the</em> table</a> and x.'


@pytest.mark.browser
def test_chromium_shows_it_in_both_themes_without_an_error(site):
    said = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        grounds = []
        for theme in ("light", "dark"):
            tab = browser.new_context(color_scheme=theme).new_page()
            tab.on("console", lambda message: said.append(message.text))
            tab.on("pageerror", lambda error: said.append(str(error)))
            tab.on("requestfailed", lambda request: said.append(request.url))
            tab.goto((site / f"lessons/{LESSON}.html").as_uri())
            assert tab.evaluate("document.querySelector('.equation math').getBoundingClientRect().height") > 10
            grounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
        browser.close()
    assert said == [] and grounds[0] != grounds[1]


def test_a_folder_with_other_things_is_left_alone(tmp_path, monkeypatch, capsys):
    mine = tmp_path / "thesis.tex"
    mine.write_text("mine")
    monkeypatch.chdir(ROOT)
    assert main(["site", LESSON, "--to", str(tmp_path)]) == 1
    assert "holds something else than a site" in capsys.readouterr().err and mine.read_text() == "mine"


def test_what_is_not_installed_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("autograder.handout.site.NEEDED", ("sphinx_of_nobody",))
    assert main(["site", LESSON, "--to", str(tmp_path / "site")]) == 1
    assert "sphinx_of_nobody not installed: pip install" in capsys.readouterr().err
