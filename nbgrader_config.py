"""nbgrader on the course's folders: release, autograde, feedback, formgrader and export read this file.

The preprocessor lists are nbgrader's own with the course's additions (`autograder/plugins/`) put in. In a clean clone
the grade book is empty: run `nbgrader generate_assignment LESSON --force` once; `course` commands do so by themselves.
"""

import os
import sys
from pathlib import Path

c = get_config()

# nbgrader calls `alembic` when it makes a grade book: find it even where the environment is not activated.
tools = str(Path(sys.executable).parent)
if tools not in os.environ.get("PATH", "").split(os.pathsep):
    os.environ["PATH"] = os.pathsep.join([tools, os.environ.get("PATH", "")])

c.CourseDirectory.course_id = "deep-generative-models"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
# A lesson's source holds the solutions, and nbgrader copies every file it does not ignore to the students. Kept
# pictures (autograder/builder/kept.py) are in the notebook already.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "__pycache__", "*.py", "*.pyc", "*.pt", "*.tmp", "releases.json"]
c.CourseDirectory.ignore += ["*.kept.png"]

# Small files handed in beside a notebook travel into the sandbox with it; sizes in bytes.
c.Beside.suffixes = [".py", ".csv", ".json", ".txt"]
c.Beside.file_size, c.Beside.all_size, c.Beside.files = 2**20, 4 * 2**20, 20

stock = "nbgrader.preprocessors."
c.GenerateAssignment.preprocessors = [
    stock + "LockCells",
    "autograder.plugins.preprocessors.NamedStubs",
    stock + "ClearOutput",
    stock + "CheckCellMetadata",
    stock + "ComputeChecksums",
    stock + "SaveCells",
    stock + "ClearHiddenTests",
    stock + "ClearMarkScheme",
    stock + "ComputeChecksums",
    stock + "CheckCellMetadata",
    "autograder.plugins.preprocessors.Seal",
]

c.Autograde.exporter_class = "autograder.plugins.one_by_one.OneByOne"  # a submission that fails leaves no trace
c.Autograde.sanitize_preprocessors = [
    stock + "ClearOutput",
    "autograder.plugins.outside.PutInOrder",
    "autograder.plugins.preprocessors.RestoreMetadata",
    stock + "OverwriteKernelspec",
    stock + "OverwriteCells",
    stock + "CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "autograder.plugins.outside.GradeOutside",  # for nbgrader's own Execute: cells run in the sandbox, checks outside
    stock + "IgnorePattern",
    "autograder.plugins.preprocessors.PositiveCredit",
    stock + "LimitOutput",
    stock + "SaveAutoGrades",
    stock + "CheckCellMetadata",
]
# Penalties of late hand-ins are settled beside these, for the whole score and as often as anything changes, by the
# plug-in that c.AssignLatePenalties.plugin_class names.
# Graded and checked cells that a student deleted come back (RestoreMetadata does so; this is for what it may miss).
c.OverwriteCells.add_missing_cells = True
# A line on stderr, such as a library's warning, would cost a cell all its points.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"[\s\S]*"
c.Execute.timeout = 30
c.Execute.interrupt_on_timeout = True

c.GenerateFeedback.exporter_class = "autograder.plugins.pages.OnePage"  # the page of `course feedback`
c.GenerateFeedback.preprocessors = [
    "autograder.plugins.preprocessors.HideChecks",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]

# Formgrader shows what students wrote as our own pages do: in boxes, without ids of theirs, in bounded time; and asks
# for no mark of a cell that is worth nothing.
c.HTMLExporter.filters = {"markdown2html": "autograder.feedback.page.markdown2html"}
c.HTMLExporter.preprocessors = ["autograder.plugins.preprocessors.BoxesForPoints", "autograder.feedback.page.Bounded"]

c.ExportApp.plugin_class = "autograder.plugins.export.CsvWithGaps"  # what was not graded is no 0

# The settings of a term stand beside this file, in one that is nobody else's: it is not tracked, and no upgrade touches
# it. README, "The settings of a term", says what belongs there.
local = Path(__file__).with_name("nbgrader_config_local.py")
if local.is_file():
    load_subconfig(str(local))
