"""`course`: every command that is listed can be asked for help, and the list itself costs nothing."""

import subprocess
import sys

import pytest

from autograder.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_listed_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0 and f"usage: course {name}" in capsys.readouterr().out


def test_the_list_of_commands_brings_neither_torch_nor_nbgrader_along():
    program = (
        "import sys\nfrom autograder.cli import main\n"
        "try:\n    main(['--help'])\n"
        "finally:\n    print([name for name in ('torch', 'nbgrader', 'matplotlib') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *listed, brought = run.stdout.splitlines()
    assert brought == "[]" and all(any(name in line for line in listed) for name in COMMANDS)


def test_an_unknown_command_is_a_wrong_call(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["grad"])
    assert ended.value.code == 2 and "'grade'" in capsys.readouterr().err
