"""A student in a real JupyterLab: types an answer, sees its check pass, drags a slider, and presses Validate."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import nbformat
import pytest

from autograder.checkout import course_root
from autograder.grading.demo import solve
from autograder.hand_in.restoring import Master

pytestmark = pytest.mark.browser

LESSON = "02-vae"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
# All cells stay in the page, so that one can be found by its text without scrolling.
SETTINGS = '{"windowingMode": "none"}'
TYPED = "reparameterize"
GIVEN = ("score_function_gradient", "pathwise_gradient")  # what the first widget needs


@pytest.fixture
def folder(tmp_path):
    """The student's folder: the released notebook, with two answers written earlier."""
    master = Master.load(course_root(), LESSON)
    answers = {cell["id"]: cell.source for cell in solve(course_root(), master).cells}
    notebook = master.released
    for cell in notebook.cells:
        if cell["id"] in GIVEN:
            cell.source = answers[cell["id"]]
    nbformat.write(notebook, tmp_path / "vae.ipynb")
    return tmp_path


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def jupyterlab(folder, state):
    """A server on loopback; yields its address."""
    settings = state / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text(SETTINGS)
    places = {"JUPYTERLAB_SETTINGS_DIR": state / "settings", "JUPYTERLAB_WORKSPACES_DIR": state / "workspaces"}
    places |= {"JUPYTER_RUNTIME_DIR": state / "runtime", "JUPYTER_CONFIG_DIR": state / "config", "HOME": state}
    environment = {**os.environ, **{name: str(place) for name, place in places.items()}, "COURSE_BUDGET": "short"}
    port = free_port()
    options = [f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1"]
    options += ["--IdentityProvider.token=", "--ServerApp.open_browser=False", "--LabApp.expose_app_in_browser=True"]
    options += ["--ServerApp.allow_root=True", "--LabApp.news_url=None", "--LabApp.check_for_updates_class="]
    options[-1] += "jupyterlab.NeverCheckForUpdate"
    with (state / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=environment, cwd=folder, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: urllib.request.urlopen(f"{address}/api/status", timeout=2), 60, (state / "log").read_text)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def wait_for(attempt, seconds, explain):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except OSError:
            if time.monotonic() > deadline:
                raise AssertionError(explain()) from None
            time.sleep(0.2)


@pytest.fixture
def page(folder, tmp_path_factory):
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: .ci/run installs it")
        pytest.skip("needs Chromium: install the package chromium")
    from playwright.sync_api import sync_playwright

    with (
        jupyterlab(folder, tmp_path_factory.mktemp("lab")) as address,
        sync_playwright() as playwright,
        closing(playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)) as browser,
    ):
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(90_000)
        page.goto(f"{address}/lab/tree/vae.ipynb")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.context?.sessionContext?.session?.kernel")
        yield page


def index_of(page, identity):
    return page.evaluate(
        "id => window.jupyterapp.shell.currentWidget.content.widgets.findIndex(cell => cell.model.id === id)", identity
    )


def cell(page, identity):
    """The cell with this id, scrolled to and made the active one."""
    index = index_of(page, identity)
    assert index >= 0, f"no cell {identity}"
    page.evaluate(
        "i => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = i; n.mode = 'command'; }",
        index,
    )
    found = page.locator(".jp-Notebook .jp-Cell").nth(index)
    found.scroll_into_view_if_needed()
    return found


def command(page, name):
    page.evaluate("name => window.jupyterapp.commands.execute(name)", name)


def finished(found):
    """Wait until a cell has run. A folded one shows no number."""
    index = found.evaluate("cell => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].indexOf(cell)")
    found.page.wait_for_function(
        "i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.executionCount > 0", arg=index
    )
    return found


def ids(folder, wanted):
    notebook = nbformat.read(folder / "vae.ipynb", as_version=4)
    return [found["id"] for found in notebook.cells if found.cell_type == "code" and wanted in found.source]


def test_a_students_way(page, folder):
    # Types an answer over the stub, and runs it and its check.
    answers = {found["id"]: found.source for found in solve(course_root(), Master.load(course_root(), LESSON)).cells}
    cell(page, TYPED)
    command(page, "notebook:run-all-above")
    solution = cell(page, TYPED)
    solution.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(answers[TYPED])
    page.keyboard.press("Shift+Enter")
    finished(solution)
    check = cell(page, f"{TYPED}-checks")
    page.keyboard.press("Escape")
    command(page, "notebook:run-cell")
    finished(check)
    assert "✓" in check.locator(".jp-OutputArea-output").first.inner_text()
    assert check.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0

    # Drags a slider, and the figure changes.
    widget = cell(page, ids(folder, "widgets.explore")[0])
    picture, handle = widget.locator(".widget-image"), widget.locator(".noUi-handle").first
    picture.wait_for()
    before, place = picture.get_attribute("src"), handle.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    page.mouse.move(place["x"] + 80, place["y"] + place["height"] / 2, steps=8)
    page.mouse.up()
    page.wait_for_function("([e, src]) => e.src !== src", arg=[picture.element_handle(), before])

    # Presses Validate: what is written passes, what is not written is named.
    command(page, "docmanager:save")
    page.get_by_role("button", name="Validate").click()
    dialog = page.locator(".jp-Dialog")
    dialog.get_by_text(re.compile("cells? failed|Success!|Cannot validate|Validation failed")).first.wait_for(
        timeout=240_000
    )
    verdict = dialog.inner_text()
    assert "failed" in verdict.lower()
    assert "✗ iwae_bound: write this function, then run the cell again" in verdict
    assert f"{TYPED}: write" not in verdict


def test_the_student_notebook_holds_no_answer(folder):
    text = (Path(course_root()) / "notebooks" / LESSON / "vae.ipynb").read_text()
    assert "BEGIN SOLUTION" not in text and "HIDDEN TESTS" not in text and "MARK SCHEME" not in text
