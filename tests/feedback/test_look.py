"""Can the page be read on a light screen and on a dark one, on a telephone and on paper?"""

import base64
import os
import shutil
from contextlib import contextmanager

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.converters import GenerateFeedback

from autograder.checkout import course_config, course_root
from autograder.feedback import page
from autograder.feedback.filling import Body, Said, filled
from autograder.feedback.markup import safe_outputs
from course_lib.ink import PAGES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed")
NAME = "a_function_with_a_rather_long_name"
LEAST = 4.5  # contrast of text (WCAG 2.1, level AA)
TEXT = """# A heading

A [link](https://example.org), `code`, $x^2$ and **more**.

> quoted

| a | b |
|---|---|
| 1 | 2 |

<kbd>k</kbd>

    indented

<details><summary>Hint 1</summary>folded</details>

![drawn on white](attachment:a.png)
"""
CODE = '@wraps(f)\ndef f(x: int = 1.5) -> None:  # why\n    """Says."""\n    return not x + len(f\'{x}\') or \'\\n\' $'
HTML = "<p style='color: black'>black</p><p style='color: #222; background-color: #ffe'>chosen</p>"
SOLUTION = {"grade_id": NAME, "solution": True, "grade": False}
GRADED = {"grade_id": f"{NAME}-graded", "solution": False, "grade": True, "points": 2.0}
PICTURE = base64.b64encode(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;").decode()
# Each text that is seen, with its contrast to what lies behind it.
CONTRASTS = """() => {
    document.querySelectorAll('details').forEach(one => one.open = true)
    const parsed = text => text.match(/[\\d.]+/g).map(Number)
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0)
    const ground = e => {
        for (; e; e = e.parentElement) {
            const [r, g, b, a] = parsed(getComputedStyle(e).backgroundColor)
            if (a === undefined) return [r, g, b]
            if (a > 0) throw `half transparent: ${e.outerHTML.slice(0, 200)}`
        }
        throw 'no ground'
    }
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = []
    for (let node; node = walker.nextNode();) {
        const e = node.parentElement
        if (!node.data.trim() || !e.getClientRects().length) continue
        const [low, high] = [light(parsed(getComputedStyle(e).color)), light(ground(e))].sort((a, b) => a - b)
        found.push([(high + 0.05) / (low + 0.05), node.data.trim().slice(0, 40)])
    }
    return found
}"""
COLOURS = "new Set([...document.querySelectorAll('.highlight span')].map(e => getComputedStyle(e).color)).size"
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def text():
    """A page with everything that a page may hold."""
    converter = GenerateFeedback(config=course_config(course_root()))
    made = page.exporter(converter.config)
    for preprocessor in (*converter.preprocessors, page.Bounded()):
        made.register_preprocessor(preprocessor, enabled=True)
    outputs = [
        {"output_type": "display_data", "data": {"text/html": HTML}},
        {"output_type": "stream", "text": "\x1b[31mred\x1b[0m and \x1b[38;5;17mdark\x1b[0m"},
        {"output_type": "error", "ename": "E", "evalue": "why", "traceback": ["\x1b[1;33mwhy\x1b[0m"]},
    ]
    shown = [*safe_outputs(outputs), new_output("display_data", data={"image/png": PICTURE})]
    folded = {"jupyter": {"source_hidden": True}}
    notebook = new_notebook(
        cells=[
            new_markdown_cell(TEXT, attachments={"a.png": {"image/png": PICTURE}}),
            new_code_cell(CODE, metadata={"nbgrader": SOLUTION}),
            new_code_cell("# given", metadata=folded, outputs=shown),
            new_code_cell("# graded", metadata={"nbgrader": GRADED}),
            new_markdown_cell("An answer.", metadata={"nbgrader": {**SOLUTION, "grade_id": "q", "grade": True}}),
        ]
    )

    def render(notebook, token):
        return made.from_notebook_node(notebook, resources={"gap": token, "nbgrader": {"notebook": "n"}})[0]

    said = Said({GRADED["grade_id"]: (1.0, 2.0, False, False)}, {NAME: "Well *seen*."}, late_penalty=0.5)
    return b"".join(filled(Body.of(notebook, render), "n", said)).decode()


@contextmanager
def opened(text, **context):
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_context(**context).new_page()
        tab.set_content(text)
        yield tab
        browser.close()


@pytest.mark.parametrize(("scheme", "ground"), [("light", PAGES[0]), ("dark", PAGES[1])])
def test_every_text_can_be_read_on_the_readers_ground_which_is_that_of_the_figures(text, scheme, ground):
    with opened(text, color_scheme=scheme) as tab:
        assert tab.evaluate(GROUND) == f"rgb{tuple(bytes.fromhex(ground[1:]))}"
        contrasts = tab.evaluate(CONTRASTS)
        colours = tab.evaluate(COLOURS)
    shown = {words for _, words in contrasts}
    expected = {"A heading", "code", "quoted", "k", "indented", "folded", "black", "chosen", "red", "dark", "why"}
    assert expected | {"# given", NAME, "seen", "(0.5 taken off for a late hand-in)"} <= shown
    assert [one for one in contrasts if one[0] < LEAST] == []
    assert colours >= 5, "code is in colours"


def test_paper_is_white_and_a_picture_of_a_students_lies_on_white(text):
    ground = "e => getComputedStyle(e).backgroundColor"
    with opened(text, color_scheme="dark") as tab:
        assert tab.locator(".text_cell_render img").evaluate(ground) == "rgb(255, 255, 255)"
        assert tab.locator(".output_png img").evaluate(ground) == "rgba(0, 0, 0, 0)"
        tab.emulate_media(media="print")
        look = "['colorScheme', 'color', '--page'].map(w => getComputedStyle(document.documentElement)[w] ||"
        look += " getComputedStyle(document.documentElement).getPropertyValue(w))"
        assert tab.evaluate(look) == ["normal", "rgb(0, 0, 0)", "#ffffff"]


def test_a_telephone_shows_it_without_scrolling_sideways(text):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1" />' in text
    with opened(text, viewport={"width": 390, "height": 800}) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        words = tab.locator(".output_stdout pre").first
        assert words.evaluate("e => getComputedStyle(e).wordBreak") == "normal", "Bootstrap breaks inside words"


def test_a_refusal_follows_the_readers_ground():
    with opened(page.refusal("n: not graded", "it is no notebook"), color_scheme="dark") as tab:
        assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(255, 255, 255)"
