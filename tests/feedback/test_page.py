"""Is a page made of its own submission alone, and bounded before it is built?"""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.converters import GenerateFeedback

from autograder.checkout import course_config, course_root
from autograder.feedback import markup, mathematics, page
from autograder.feedback.markup import MAX_HTML, MAX_MARKDOWN, Room, safe_html, safe_markdown, safe_outputs
from autograder.feedback.mathematics import rendered

THREADS, ROUNDS = 6, 12


def everything(word):
    """One text through every renderer and cleaner; `word` must meet no other."""
    html = f"<table><tr><td>{word}</td></tr></table>" + f"<p><b>{word}</b> &amp; <i>{word}</i></p>" * 20
    data = {"text/html": html, "text/markdown": f"# {word}\n\n*{word}*", "text/plain": f"\x1b[31m{word}\x1b[0m"}
    outputs = safe_outputs([{"output_type": "display_data", "data": data}, {"output_type": "stream", "text": word}])
    text = safe_markdown(f"# {word}\n\n$\\text{{{word}}}$ and `{word}`\n\n| {word} | b |\n|---|---|\n| 1 | 2 |\n")
    pictures = {word: {"image/png": "AAAA"}}
    shown = rendered(f"{text}\n![{word}](attachment:{word})", pictures)
    return repr(outputs) + text + shown + page.highlight_code(f"def {word}(): return '{word}'")


def test_texts_that_are_rendered_at_once_do_not_meet():
    """Byte by byte what they are alone, whatever other threads clean, parse and colour meanwhile."""
    words = [f"w{thread}x{number}" for thread in range(THREADS) for number in range(ROUNDS)]
    alone = {word: everything(word) for word in words}
    page._rendered.cache_clear()
    page._highlighted.cache_clear()
    gate, switch = Barrier(THREADS), sys.getswitchinterval()

    def some(thread):
        gate.wait()
        return {word: everything(word) for word in words[thread::THREADS]}

    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            together = {word: text for part in pool.map(some, range(THREADS)) for word, text in part.items()}
    finally:
        sys.setswitchinterval(switch)
    assert together == alone
    assert all(
        word in alone[word] and not any(f"{other}<" in alone[word] for other in words if other != word)
        for word in words
    )


@pytest.fixture(scope="module")
def shown():
    """The page of a notebook of these cells, without scores."""
    made = page.exporter(GenerateFeedback(config=course_config(course_root())).config)
    made.register_preprocessor(page.Bounded(), enabled=True)
    about = {"notebook": "n", "score": 0, "max_score": 0, "late_penalty": 0}

    def render(*cells):
        return made.from_notebook_node(new_notebook(cells=cells), resources={"nbgrader": about})[0]

    return render


def test_pages_made_one_after_the_other_are_as_they_are_alone(shown):
    cells = [[new_markdown_cell(f"# one{n}\n\n$s_{n}$"), new_code_cell(f"print('one{n}')")] for n in range(3)]
    first = [shown(*pair) for pair in cells]
    assert [shown(*pair) for pair in reversed(cells)] == first[::-1]
    assert "one1" in first[1] and "one1" not in first[0]


def test_a_picture_named_often_takes_its_room_each_time(monkeypatch, shown):
    monkeypatch.setattr(page, "MAX_PICTURES", 10_000)
    picture = {"attachments": {"a.png": {"image/png": "A" * 3000}}}
    html = shown(*(new_markdown_cell("![what it shows](attachment:a.png) " * 60, **picture) for _ in range(2)))
    assert html.count("AAAA" * 750) == 3 and html.count("what it shows: a picture, left out") == 117
    small = rendered("![x](attachment:a.png)" * 50, picture["attachments"], Room(7000))
    assert small.count("<img") == 2 and small.count("<em>") == 48


def test_outputs_are_cut_before_they_are_parsed(monkeypatch):
    seen = []
    monkeypatch.setattr(markup, "clean_html", lambda html: seen.append(len(html)) or "")
    html = {"output_type": "display_data", "data": {"text/html": "<b>x</b>" * 10_000}}
    room = Room(30 * MAX_HTML)
    kept = safe_outputs([html] * 9, room)
    assert seen == [MAX_HTML, MAX_HTML // 2] or sum(seen) <= 2 * MAX_HTML + 200
    assert "more outputs were cut" in kept[-1].text and room.left <= 0


def test_outputs_are_not_parsed_when_the_time_is_over(monkeypatch):
    seen = []
    monkeypatch.setattr(markup, "clean_html", lambda html: seen.append(html) or "")
    html = {"output_type": "display_data", "data": {"text/html": "<b>x</b>"}}
    kept = safe_outputs([html] * 9, Room(late=lambda: len(seen) == 3))
    assert len(seen) == 3 and "more outputs were cut" in kept[-1].text


def test_what_is_beyond_the_length_stays_text():
    text = "*a* " * MAX_MARKDOWN
    html = rendered(text)
    assert html.count("<em>a</em>") == MAX_MARKDOWN // 4 and html.count("*a*") == MAX_MARKDOWN - MAX_MARKDOWN // 4
    assert "[the rest was cut]" in safe_html("<b>x</b>" * MAX_HTML)


def test_long_code_is_shown_below_without_colours(shown):
    long = "x = 1\n" * 2000
    html = shown(new_code_cell(long))
    assert html.count("x = 1") < 2000 == html.count("x = 1") + html.count('<span class="n">x</span>')
    outputs = [new_output("stream", text="kept")]
    assert "kept" in shown(new_code_cell("a." * 5000, outputs=outputs))
    monkey = shown(*(new_code_cell("y = 2\n" * 800) for _ in range(60)))
    assert monkey.count("y = 2") > 60 * 800 - page.MAX_PARSED // 6


def test_every_cell_of_the_course_is_shown_whole():
    import nbformat

    for path in (course_root() / "notebooks").glob("*/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                assert mathematics._cut(cell.source) == (cell.source, "")
            else:
                assert page._coloured(cell.source, Room())[1] == ""
