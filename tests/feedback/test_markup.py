"""Does anything a student wrote run as script or markup, in a feedback page or in formgrader?"""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from attacks import ATTACKS, markup
from attacks.acting import Acting
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_markdown_cell
from nbgrader.api import Gradebook
from nbgrader.server_extensions.formgrader import handlers

from autograder.checkout import course_config, course_root
from autograder.feedback.markup import readable, safe_html, safe_markdown, safe_outputs
from autograder.feedback.writer import FeedbackWriter
from autograder.grading.gradebook import GradebookWriter
from autograder.grading.runner import grade_submission

HOSTILE = [attack for attack in ATTACKS if attack.family == "markup"]
MAX_SECONDS = 20.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def master(master):
    """The lesson with whole hidden regions, as a built one has them."""
    hidden = "### BEGIN HIDDEN TESTS\nfrom autograder import grade; grade('x', globals())\n### END HIDDEN TESTS"
    return replace(master, full={name: hidden if "graded" in name else text for name, text in master.full.items()})


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Where the class of this module is graded, into one grade book."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def rendered(hand_in, master, exercises, template, limits, out):
    """(feedback page, formgrader's page) of a submission with these answers."""
    config = course_config(course_root())
    known = (out / "gradebook.db").exists()

    def pages(attack=None):
        answers = {} if attack is None else {"tiny_double": attack.double, "tiny_apply": attack.apply}
        path = hand_in(attack.change if attack else lambda notebook: None, **answers)
        graded = grade_submission(path, "ada <script>alert(9)</script>", master, exercises, template, limits)
        with GradebookWriter(out, config) as book:
            if not known:
                _enter(book.db_url, master)
            stored = book.write(graded, master.name, path.parent) / f"{master.name}.ipynb"
            feedback = FeedbackWriter(out, config, book.gradebook).write(graded, master.name)
        return feedback, _formgrader(stored, out)

    return pages


def _enter(db_url, master):
    """The lesson in the grade book, as `course build` enters one."""
    with Gradebook(db_url) as book:
        book.update_or_create_assignment(master.lesson)
        book.update_or_create_notebook(master.name, master.lesson)
        for cell in master.released.cells:
            about = cell.metadata.get("nbgrader")
            if not about:
                continue
            place = (about["grade_id"], master.name, master.lesson)
            if about["grade"]:
                book.update_or_create_grade_cell(*place, max_score=about["points"], cell_type="code")
            if about["solution"]:
                book.update_or_create_solution_cell(*place)
            book.update_or_create_source_cell(*place, source=cell.source, cell_type="code", locked=about["locked"])


def _formgrader(stored, folder):
    """What formgrader shows an instructor of a stored notebook, scripts of its own included."""
    config = course_config(course_root())  # as formgrader's server loads it
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    about = dict.fromkeys(("assignment_id", "notebook_id", "submission_id", "base_url", "notebook_path"), "x")
    resources = {**about, "index": 0, "total": 1, "student": "ada", "last_name": None, "first_name": None}
    page = folder / "formgrader.html"
    page.write_text(HTMLExporter(config=config).from_filename(str(stored), resources=resources)[0])
    return page


KEPT = []


def acting_on_honest_pages(rendered):
    """What acts on both pages of an honest submission: the pages' own styles and scripts."""
    if not KEPT:
        KEPT.extend(Acting(page.read_text()).found for page in rendered())
    return KEPT


@pytest.mark.parametrize("attack", HOSTILE, ids=[attack.name for attack in HOSTILE])
def test_nothing_more_acts_than_on_an_honest_page(rendered, attack):
    honest = acting_on_honest_pages(rendered)
    hostile = [Acting(page.read_text()).found for page in rendered(attack)]
    assert hostile == honest


@pytest.mark.parametrize("text", markup.WRITTEN)
def test_a_changed_title_and_an_own_cell_are_made_harmless(rendered, text):
    def write(notebook):
        notebook.cells[0].source = text
        notebook.cells.append(new_markdown_cell(text))

    hostile = [Acting(page.read_text()).found for page in rendered(replace(HOSTILE[0], change=write))]
    assert hostile == acting_on_honest_pages(rendered)


def test_code_as_text_is_no_way_round(rendered):
    """A Markdown cell handed in as code comes back as Markdown, and is cleaned as such."""

    def change(notebook):
        title = notebook.cells[0]
        title.update(cell_type="code", source="<img src=x onerror=alert(1)>", outputs=[], execution_count=None)

    page = rendered(replace(HOSTILE[0], change=change))[1].read_text()
    assert "&lt; img src=x" in page and Acting(page).found == acting_on_honest_pages(rendered)[1]


def test_a_page_that_acts_would_be_noticed():
    for text in (*markup.WRITTEN[:1], "<a href='JavaScript:alert(1)'>x</a>", "<p onclick=alert(1)>"):
        assert Acting(text).found


MATHEMATICS = r"""Here $a<b$ and $x < y$, and
$$\begin{aligned} p(x) &= \int p(x \mid z)\, p(z)\,dz \\ &\le 1 \end{aligned} \tag{1}$$

- *emphasis*, **strong**, `a < b`, [a page](https://arxiv.org/abs/1312.6114), H<sub>2</sub>O

| a | b |
|:-:|---|
| 1 | 2 |
"""


def test_mathematics_and_plain_markdown_survive(rendered):
    def write(notebook):
        notebook.cells.append(new_markdown_cell(MATHEMATICS))

    feedback, formgrader = (page.read_text() for page in rendered(replace(HOSTILE[0], change=write)))
    for text in (feedback, formgrader):
        assert "<mi>x</mi><mo>&lt;</mo><mi>y</mi>" in text and "<mi>a</mi><mo>&lt;</mo><mi>b</mi>" in text
        assert "<mtext>(1)</mtext>" in text
    assert "$" not in re.sub("<style.*?</style>", "", feedback, flags=re.S)
    for text in (feedback, formgrader):
        assert '<a href="https://arxiv.org/abs/1312.6114">' in text and "<sub>2</sub>" in text
        assert "<strong>strong</strong>" in text and "<td" in text


def test_markdown_without_markup_is_left_alone():
    plain = MATHEMATICS.replace("$a<b$", "$a < b$")
    assert safe_markdown(plain) == plain


def test_outputs_keep_text_pictures_and_tables():
    table = "<table><tr><th>a</th></tr><tr><td>1</td></tr></table>"
    data = {"text/plain": "a", "image/png": "AAAA", "text/html": table}
    metadata = {"image/png": {"width": 3, "alt": "two dots", "onload": "x"}}
    kept = safe_outputs([{"output_type": "display_data", "data": data, "metadata": metadata}])[0]
    assert kept.data["image/png"] == "AAAA" and "<td>1</td>" in kept.data["text/html"]
    assert kept.metadata == {"image/png": {"width": 3, "alt": "two dots"}}


@pytest.mark.parametrize("piece", ["<b>", "<i a=1>", "<p><b>", "<table><tr><td>", "<", "<!--", "&", "<svg><p>"])
def test_html_of_any_form_takes_little_time(piece):
    import time

    start = time.process_time()
    for length in (100, 10_000, 49_000):
        safe_html((piece * length)[:length])
    assert time.process_time() - start < MAX_SECONDS


@pytest.mark.parametrize("piece", ["a.", "\t\n", "'''\\N{", "(", "$", "\\\\[", "\\\\("])
def test_a_page_of_any_text_takes_little_time(rendered, piece):
    """Highlighters and Markdown take time quadratic in some texts: one such cell must not hold up the class."""
    import time

    from nbformat.v4 import new_code_cell

    def write(notebook):
        notebook.cells += [new_code_cell((piece * 10_000)[:19_000]), new_markdown_cell((piece * 30_000)[:60_000])]
        notebook.cells.append(new_markdown_cell("```ipython3\n" + (piece * 10_000)[:15_000] + "\n```"))

    attack = replace(HOSTILE[0], double="def tiny_double(x):\n    return x", change=write)
    start = time.process_time()
    rendered(attack)
    assert time.process_time() - start < MAX_SECONDS


def test_hidden_checks_and_values_are_not_on_the_page(rendered):
    page = rendered(replace(HOSTILE[0], double="def tiny_double(x):\n    return x * x"))[0].read_text()
    assert "quared instead of doubled" in page and "Twice x is x + x." in page
    assert "HIDDEN" not in page and "case.expect" not in page and "oracle" not in page


def test_what_goes_to_a_terminal_is_text():
    assert readable("\x1b]0;title\x07\x1b[2Jplain\u202e\ud800") == "?]0;title??[2Jplain??"
    assert len(readable("x" * 10**6)) < 3000


@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed")
def test_no_dialog_opens_in_a_browser(rendered, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    hostile = Path(tmp_path, "control.html")
    hostile.write_text("<img src=x onerror=alert(1)>")
    every = replace(
        HOSTILE[-1], double="\n".join(attack.double for attack in HOSTILE[:-1] if "raise E" not in attack.double)
    )
    pages = rendered(every)
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        assert _dialogs(browser, hostile), "the test itself notices dialogs"
        for page in pages:
            assert _dialogs(browser, page) == []
        browser.close()


@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed")
def test_nothing_a_student_wrote_lies_over_the_rest_of_a_page(rendered):
    """Headings with scores, and the bar at the top, look as they do where nobody tries to cover them."""
    playwright = pytest.importorskip("playwright.sync_api")
    attack = next(attack for attack in HOSTILE if attack.name == "overlays")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for page in rendered(attack):
            text = page.read_text()
            alone = _looks(browser, text.replace("</head>", f"{HIDDEN}</head>"))
            assert _looks(browser, text) == alone
            assert _looks(browser, text.replace("</body>", f"{COVER}</body>")) != alone
        browser.close()


HIDDEN = "<style>.text_cell_render, .output_area, .input_area { visibility: hidden }</style>"
COVER = "<p style='position:fixed;top:0;left:0;width:99%;height:99%;opacity:0'>x</p>"


REACHED = """e => {
    const r = e.getBoundingClientRect()
    return e.contains(document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2))
}"""


def _looks(browser, text):
    """The parts of a page that are not the student's, with the page's own style sheets in force: how each looks, and
    whether a click on it reaches it.
    """
    page = browser.new_page(viewport={"width": 900, "height": 700})

    def serve(route):
        path = Path(handlers.static_path, route.request.url.partition("/static/")[2])
        route.fulfill(path=path) if path.suffix == ".css" and path.exists() else route.abort()

    page.route(re.compile("^http://course/.*/static/"), serve)
    page.route(re.compile("^http://course/page"), lambda route: route.fulfill(body=text, content_type="text/html"))
    page.goto("http://course/page")
    seen = []
    for found in page.query_selector_all("nav, .panel-heading, .score"):
        picture = found.screenshot()
        seen.append((picture, found.evaluate(REACHED)))
    page.close()
    return seen


def _dialogs(browser, path):
    """The texts of the dialogs that a page opens, also when its links are pressed."""
    page, texts = browser.new_page(), []
    page.on("dialog", lambda dialog: (texts.append(dialog.message), dialog.dismiss()))
    page.route(re.compile("^https?:"), lambda route: route.abort())
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    for link in page.query_selector_all("a[href*='script' i], [onclick], [onmouseover]"):
        link.dispatch_event("click")
        link.dispatch_event("mouseover")
    page.wait_for_timeout(300)
    page.close()
    return texts


def test_stored_notebooks_are_valid(rendered, out):
    rendered(HOSTILE[-1])
    stored = next((out / "autograded").rglob("*.ipynb"))
    nbformat.validate(nbformat.read(stored, as_version=4))


def test_scores_on_the_page_are_those_of_the_grade_book(rendered, out, master, exercises, template, limits, hand_in):
    feedback, _ = rendered()
    assert ": 3 of 3 points" in feedback.read_text()
    path = hand_in(tiny_double="def tiny_double(x):\n    return x * x")
    graded = grade_submission(path, "half", master, exercises, template, limits)
    with GradebookWriter(out, course_config(course_root())) as book:
        book.write(graded, master.name, path.parent)
        page = FeedbackWriter(out, course_config(course_root()), book.gradebook).write(graded, master.name).read_text()
        held = book.gradebook.find_submission_notebook(master.name, master.lesson, "half")
        scores = {grade.name: (grade.score, grade.max_score) for grade in held.grades}
    assert scores["tiny_double-graded"] == (graded.marks[0].points, 2.0) and graded.marks[0].points < 2
    assert f"Score: {scores['tiny_double-graded'][0]} / 2.0" in page
