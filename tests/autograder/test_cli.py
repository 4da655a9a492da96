"""`course`: every command that is listed can be asked for help, which costs nothing; each imports what it needs."""

import subprocess
import sys

import pytest
from imported import imported

from autograder.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_listed_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0 and f"usage: course {name}" in capsys.readouterr().out


@pytest.mark.parametrize("line", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_imports_nothing_that_takes_time(line):
    assert imported(*line) == set()


# Of what is heavy, what each command needs that needs no PyTorch.
NEEDED = {
    "build --check 02-vae": {"IPython"},
    "pack 02-vae --to {folder}/pack.zip": {"IPython", "nbconvert"},
    "roster {folder}/list.csv --out {folder}": {"nbgrader", "nbconvert"},
    "extend ada 02-vae 2031-06-01 --out {folder}": {"nbgrader", "nbconvert"},
}


@pytest.mark.parametrize("line", NEEDED)
def test_what_needs_no_torch_imports_none(line, tmp_path):
    (tmp_path / "list.csv").write_text("id\nada\n")
    assert imported(*line.format(folder=tmp_path).split()) <= NEEDED[line]


def test_the_doctor_begins_without_what_may_be_broken():
    program = "import sys, autograder.doctor.commands; print({'torch', 'nbgrader', 'rich'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_an_unknown_command_is_a_wrong_call(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["grad"])
    assert ended.value.code == 2 and "'grade'" in capsys.readouterr().err
