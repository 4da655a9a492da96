"""What diagnosis tries in the place of a right answer: kinds that have words, formulas with switches, makers, and how
their numbers are compared.
"""

import pytest
import torch

from autograder.diagnosis import changes, kinds, makers
from autograder.diagnosis.asked import Call
from autograder.diagnosis.comparing import differs
from autograder.diagnosis.kinds import KINDS, Finding
from autograder.diagnosis.makers import Maker
from autograder.diagnosis.results import of_results
from autograder.diagnosis.schemata import TooLong, switched
from autograder.exercise import find_exercise


def test_every_kind_has_words_for_a_student():
    for name, kind in KINDS.items():
        about = ("xt", "x0", "t")
        finding = Finding(name, about)
        assert finding.name and finding.hint.endswith((".", "?")) and "{" not in finding.name + finding.hint, kind
    made = {kind for found in changes.BINARY_CHANGES.values() for kind, _ in found}
    made |= {kind for found in changes.CALLS.values() for kind, _ in found}
    made |= {maker.kind for maker in of_results()}
    assert made <= set(KINDS)


def test_a_formula_with_all_switches_off_is_itself_and_with_one_on_another():
    exercise = find_exercise("predict_eps")
    for formula in exercise.alternatives.values():
        function, board = switched(formula)
        x0, xt = torch.randn(2, 3, 4, dtype=torch.float64)
        arguments = xt, x0, torch.tensor([1, 2, 3]), torch.linspace(1, 0.1, 5, dtype=torch.float64)
        assert torch.equal(function(*arguments), formula(*arguments))
        assert len({(switch.site, switch.change) for switch in board.switches}) == len(board.switches) > 20


def test_a_changed_loop_ends():
    function, board = switched(endless)
    turned = next(switch for switch in board.switches if switch.kind == "sign")
    board.on = {turned.site: turned.change}
    with pytest.raises(TooLong):
        function(3)


def endless(n):
    while n > 0:
        n = n - 1
    return n


def test_makers_leave_their_inputs_alone():
    given = {"x": torch.ones(3, 2), "t": torch.tensor([1, 2, 3]), "eta": 0.5}
    before = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in given.items()}
    for maker in makers.of_arguments(given, {}):
        assert isinstance(maker, Maker) and kinds.KINDS[maker.kind]
        maker.change(given)
    assert all(torch.equal(torch.as_tensor(given[name]), torch.as_tensor(value)) for name, value in before.items())


def test_a_plain_float_made_in_single_precision_is_compared_as_that():
    single, double = (Call([torch.ones(2, dtype=dtype)], {}, 0.0) for dtype in (torch.float32, torch.float64))
    assert single.coarse
    assert not double.coarse
    assert differs(0.47359144, 0.47359133)
    assert not differs(0.47359144, 0.47359133, coarse=True)
    assert differs(0.47359144, 0.4749, coarse=True)
