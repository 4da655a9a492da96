"""Is there one list of dependencies, and does everything else refer to it?"""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = [ROOT / "pyproject.toml", ROOT / "course_lib" / "pyproject.toml"]


def names(requirements):
    return {re.split(r"[\s\[<>=!~;]", requirement)[0].lower().replace("-", "_") for requirement in requirements}


def declared(path):
    project = tomllib.loads(path.read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    return names(project["dependencies"]) | {name for extra in extras for name in names(extra)}


def test_no_package_stands_in_both_lists():
    instructor, student = map(declared, PROJECTS)
    assert instructor & student == set()
    assert "course_lib" in instructor and "torch" in student


def test_the_environment_names_no_package_of_its_own():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *plain, pip = environment["dependencies"]
    assert names(plain) == {"python", "pip"}
    assert pip["pip"] == ["-c constraints.txt", "-e ./course_lib[lab]"]


@pytest.mark.parametrize("place", ["Makefile", ".ci/run", "README.md"])
def test_no_other_place_names_a_package_to_install(place):
    installs = re.findall(r"pip install (.*)", (ROOT / place).read_text())
    allowed = {"-c", "constraints.txt", "-e", "./course_lib", "./course_lib[lab]", ".[test]", ".[postgresql]"}
    for line in installs:
        words = [word.strip("'\"`") for word in re.split(r"[`]", line)[0].split()]
        given = {word for word in words if not word.startswith("--")}
        assert given <= allowed, (place, line)


def test_constraints_pin_only_what_is_declared():
    pinned = names(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#")
    assert pinned <= set().union(*map(declared, PROJECTS))


def test_ci_calls_the_readmes_own_test_command():
    first_commands = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    assert [line.split("#")[0].strip() for line in first_commands.strip().splitlines()] == ["make demo", "make test"]
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text(), re.M)


def test_the_usual_host_runs_the_same_command_on_two_pairs_that_are_allowed():
    jobs = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"]
    pairs = jobs["tests"]["strategy"]["matrix"]["include"]
    assert len({(pair["python"], pair["torch"]) for pair in pairs}) == 2
    student = tomllib.loads(PROJECTS[1].read_text())["project"]
    (oldest,) = re.findall(r"torch>=([\d.]+)", " ".join(student["dependencies"]))
    (pinned,) = re.findall(r"^torch==([\d.]+)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert {pair["torch"] for pair in pairs} == {f"{oldest}.0", pinned}
    assert min(pair["python"] for pair in pairs) == student["requires-python"].removeprefix(">=")
    commands = [step.get("run", "") for step in jobs["tests"]["steps"]]
    assert sum(".ci/run" in command for command in commands) == 1 and not any("pip" in command for command in commands)


def test_imports_run_one_way():
    imported = re.compile(r"^\s*(?:from|import) autograder", re.M)
    assert [path for path in (ROOT / "course_lib").rglob("*.py") if imported.search(path.read_text())] == []
    beyond = re.compile(r"^\s*from \.\.", re.M)
    assert [path for path in (ROOT / "autograder/sandbox").rglob("*.py") if beyond.search(path.read_text())] == []


PROSE = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/threat-model.md",
    "autograder/exercise.py",
    "autograder/builder/rules.py",
]
NAMED = re.compile(
    r"(?<![\w/.-])(?:solutions|notebooks|autograder|course_lib|tests|benchmarks|docs)/[\w./<>{}-]*[\w>}]"
)


@pytest.mark.parametrize("place", PROSE)
def test_a_path_that_is_named_exists(place):
    """Where a part is left open (`<exercise>`, or `{file}` in a message), some file of every lesson fits it."""
    named = NAMED.findall((ROOT / place).read_text(encoding="utf-8"))
    assert named
    for path in named:
        for lesson in sorted(folder.name for folder in (ROOT / "solutions").glob("[0-9]*")):
            name = lesson.partition("-")[2]
            filled = path.replace("<NN-name>", lesson).replace("<name>", name).replace("{lesson.name}", name)
            assert any(ROOT.glob(re.sub(r"<[^>]*>|\{[^}]*\}?", "*", filled))), f"{place} names {path}"


@pytest.mark.parametrize("place", ["README.md", "CONTRIBUTING.md", "docs/threat-model.md", "docs/authoring.md"])
def test_a_test_that_is_named_exists(place):
    """A file of tests may be named without its folder."""
    named = set(re.findall(r"\btest_\w+\.py\b", (ROOT / place).read_text(encoding="utf-8")))
    assert named <= {path.name for path in (ROOT / "tests").rglob("test_*.py")}


def test_no_two_files_of_tests_have_one_name():
    """pytest alone, which collects all of them at once, takes the second for the first, and stops."""
    found = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(found) == len(set(found))
