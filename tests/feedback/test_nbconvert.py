"""What feedback pages use of nbconvert's insides is still as it was: a new version that changes it fails here, by name.

Feedback overrides two methods of the exporter and repeats what they do but for copies, checks and a last step, reads
its list of preprocessors, and renders Markdown by a renderer derived from nbconvert's.
"""

import inspect

import nbconvert
import pytest
from nbconvert.exporters import HTMLExporter, TemplateExporter
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.converters import GenerateFeedback
from traitlets.config import Config

from autograder.feedback.page import exporter

NAMES = [
    (HTMLExporter, "from_notebook_node"),
    (TemplateExporter, "from_notebook_node"),
    (HTMLExporter, "_init_resources"),
    (HTMLExporter, "_preprocess"),
    (HTMLExporter, "register_filter"),
    (IPythonRenderer, "image"),
    (IPythonRenderer, "block_math"),
    (IPythonRenderer, "inline_math"),
    (MarkdownWithMath, "render"),
]


@pytest.mark.parametrize(("owner", "name"), NAMES, ids=lambda value: getattr(value, "__name__", value))
def test_a_method_that_is_called_or_overridden_is_there(owner, name):
    assert callable(getattr(owner, name)), nbconvert.__version__


def test_an_exporter_holds_its_preprocessors_and_the_notebooks_metadata():
    made = HTMLExporter()
    assert isinstance(made._preprocessors, list) and made._preprocessors
    assert made._nb_metadata == {}


def test_what_is_made_takes_the_arguments_it_is_given():
    inspect.signature(IPythonRenderer).bind(escape=False, attachments={}, exclude_anchor_links=True)
    inspect.signature(MarkdownWithMath).bind(renderer=IPythonRenderer())
    inspect.signature(Highlight2HTML).bind(pygments_lexer="ipython3")
    inspect.signature(WidgetsDataTypeFilter).bind(notebook_metadata={}, parent=None, resources={})


def test_a_page_comes_out_of_the_overridden_method():
    notebook = new_notebook(cells=[new_markdown_cell("**two** $x^2$"), new_code_cell("three = 3")])
    made = exporter(GenerateFeedback(config=Config()).config)
    about = {"notebook": "n", "score": 0, "max_score": 0, "late_penalty": 0}
    page, _ = made.from_notebook_node(notebook, resources={"nbgrader": about})
    assert "<strong>two</strong>" in page and "<msup>" in page and '<span class="n">three</span>' in page
