"""Is mathematics laid out by the browser alone, and does no formula carry anything but mathematics?"""

import json
import os
import re
import shutil
import time
from html.parser import HTMLParser

import pytest

from autograder.checkout import course_root
from autograder.feedback.mathematics import ELEMENTS, formula, rendered
from autograder.feedback.page import POLICY, without_scripts

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LESSONS = sorted((course_root() / "notebooks").glob("*/*.ipynb"))


@pytest.mark.parametrize("path", LESSONS, ids=[path.stem for path in LESSONS])
def test_every_formula_of_a_lesson_can_be_read(path):
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "markdown":
            page = rendered("".join(cell["source"]))
            assert not re.findall(r"<code>[^<]*\\[a-z][^<]*</code>", page)
            assert "$" not in re.sub("<code>.*?</code>|<pre.*?</pre>", "", page, flags=re.S)


def test_letters_of_a_style_are_letters_of_their_own():
    """Browsers know no `mathvariant` but "normal"."""
    page = formula(r"\mathbb E_{\mathcal N}\,\mathbf x\,\mathbb R")
    assert all(letter in page for letter in "𝔼𝒩𝐱ℝ") and "mathvariant" not in page


def test_a_functions_name_keeps_its_distance():
    assert formula(r"\log 2\pi").count("mspace") == 2 and "mspace" not in formula(r"\log(x) + \frac{\log}{x}")


def test_mathematics_is_found_wherever_it_stands():
    page = rendered("# On $a$\n\n* $b$\n\n<details><summary>Hint</summary>So $c < 1$ and $$d$$</details>\n\n`$code$`")
    assert page.count("<math") == 4 and "<code>$code$</code>" in page
    assert re.search(r"<h1>On <math", page)
    environment = rendered("\\begin{align} a &= b \\\\ c &= d \\end{align}")
    assert environment.count("<mtr>") == 2
    assert rendered("It costs $5 and no more.") == "<p>It costs $5 and no more.</p>\n"


def test_what_cannot_be_read_is_shown_as_it_was_written():
    for tex in (r"\unknown{x}", r"\frac", "x^" * 4000, r"\left(" * 50, "{" * 1400 + "}" * 1400):
        assert formula(tex) == f"<code>{tex}</code>"
    assert formula(r"\unknown{<b>}") == r"<code>\unknown{&lt;b&gt;}</code>"


class Elements(HTMLParser):
    """All elements with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


HOSTILE = [
    r"\text{<script>alert(1)</script>}",
    r"\text{&lt;script&gt;alert(1)&lt;/script&gt;}",
    r"\text{</mtext></math><img src=x onerror=alert(1)>}",
    r"\href{javascript:alert(1)}{x}",
    r"\href{x\" onclick=\"alert(1)}{x}",
    r"\class{a\" onmouseover=\"alert(1)}{x}",
    r"\style{position:fixed;inset:0;background:red}{x}",
    r"\id{toc}{x}",
    r"\color{red\" onclick=\"alert(1)}x",
    r"\hspace{99999em}x\rule{9999em}{9999em}",
    r"\unicode{x3c}script\unicode{x3e}alert(1)",
    r"\begin{array}{c\" onclick=\"alert(1)} x \end{array}",
]


@pytest.mark.parametrize("tex", HOSTILE)
def test_a_formula_carries_nothing_but_mathematics(tex):
    for page in (formula(tex), formula(tex, "block"), rendered(f"${tex}$ and\n\n$${tex}$$ <b>${tex}$</b>")):
        for tag, attributes in Elements(page).found:
            assert tag in ELEMENTS | {"p", "b", "code", "em", "img"}
            allowed = {"style": "text-align:", "class": "", "id": "", "alt": "", "title": ""}
            for name, value in attributes.items():
                assert not name.startswith("on") and "script" not in value and len(value) < 40
                assert name != "style" or value.startswith(allowed["style"])
        assert "99999" not in re.sub("<code>.*?</code>|<m[a-z]+>[^<]*</m[a-z]+>", "", page)


@pytest.mark.parametrize(
    "text", ["![$a$](attachment:none.png)", '[x](http://a.b "$a$ onclick=")', "<b title='$a$'>x</b>"]
)
def test_no_formula_stands_in_an_attribute(text):
    page = rendered(text)
    assert not re.search(r'="[^"]*<math', page) and "formula" not in page


def test_nobody_can_write_the_mark_of_a_formula():
    first, second = (rendered("$a$ formula0n0e n0e") for _ in range(2))
    assert first == second and first.count("<math") == 1 and "formula0n0e n0e" in first


@pytest.mark.parametrize(
    "piece", ["$x$ ", "$", "$$", "$$x$$\n\n", "<code>$", "\\(", "\\begin{a}", "$\\frac{", "<b>$x$</b>"]
)
def test_a_cell_of_any_text_takes_little_time(piece):
    start = time.process_time()
    rendered((piece * 20_000)[:20_000])
    assert time.process_time() - start < 10.0


@pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed")
def test_a_browser_lays_mathematics_out_with_the_policy_in_force_and_no_network(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    body = rendered(
        "$$\\frac{a}{b} + \\sqrt{x} \\tag{1}$$\n\nand $\\mathbb E_q[x^2]$ inline\n\n"
        "$$\\begin{aligned} a &= \\sum_{t=1}^T b_t \\\\ c &= d \\end{aligned}$$"
    )
    path = tmp_path / "page.html"
    head = f'<meta charset="utf-8" /><meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
    path.write_text(without_scripts(f"<html><head>{head}</head><body>{body}<script>x()</script></body></html>"))
    assert POLICY in path.read_text() and "<script" not in path.read_text()
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page, asked, said = browser.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(path.as_uri())
        places = page.evaluate(
            "selectors => selectors.map(s => { const r = document.querySelector(s).getBoundingClientRect();"
            " return [r.top, r.bottom, r.left, r.right] })",
            ["mfrac > :nth-child(1)", "mfrac > :nth-child(2)", "msup > :nth-child(1)", "msup > :nth-child(2)"]
            + [f"mtr:nth-child({row}) mo" for row in (1, 2)],
        )
        browser.close()
    numerator, denominator, base, exponent, first, second = places
    assert numerator[1] <= denominator[0] and exponent[1] < base[1] and exponent[2] >= base[3] - 1
    assert first[1] <= second[0] and asked == [path.as_uri()] and said == []


@pytest.mark.parametrize("row", ["$|x|$ | $p(x|y)$", r"$\|v\|$ | $\left|a\right|$", "a $|x|$ b | costs $5", "$5 | $6"])
def test_a_bar_in_mathematics_ends_no_cell_of_a_table(row):
    page = rendered(f"| a | b |\n|---|---|\n| {row} |\n| 1 | 2 |\n\nBelow.")
    assert page.count("<tr>") == 3 and page.count("<td") == 4 and "Below." in page
    assert page.count("<math") == row.count("$") // 2 * (row != "$5 | $6")


def test_a_bar_outside_a_table_stays_as_it_is():
    assert "vert" not in rendered("`| $a|b$ |`\n\n```\n| a |\n|---|---|\n| $|x|$ |\n```\n")
