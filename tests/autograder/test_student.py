"""A check's view of student code: values come back, objects stay behind, and whatever goes wrong is a `Failure`."""

import linecache
import sys

import pytest
import torch

from autograder.sandbox.responder import Responder
from autograder.sandbox.wire import Source
from autograder.student import Failure, LinkBroken, LocalLink, Remote, Sitting, StandIn, is_module, local


def of(function, **more) -> Remote:
    return local("f", {"f": function, **more})


def fails(value, kind: str, *words: str) -> None:
    assert isinstance(value, Failure) and value.kind == kind, value
    for word in words:
        assert word in value.message


# ---- calls


def test_arguments_and_answers_are_copies():
    kept = []

    def keep(x):
        kept.append(x)
        return x

    mine = torch.zeros(2)
    answer = of(keep)(mine)
    kept[0].add_(1)
    assert mine.tolist() == [0, 0] and answer.tolist() == [0, 0]


def test_positional_and_keyword_arguments_arrive():
    assert of(lambda a, b, *, c=0: [a, b, c])(1, "two", c=(3.0, None)) == [1, "two", (3.0, None)]


def test_a_callback_is_called_with_the_students_values_and_sees_its_own():
    seen = []

    def model(x, t, scale=1):
        seen.append((x, t))
        return x * scale

    x = torch.arange(3.0)
    assert of(lambda model, x: model(x + 1, [4, 5], scale=2))(model, x).tolist() == [2, 4, 6]
    assert seen[0][0].tolist() == [1, 2, 3] and seen[0][1] == [4, 5]


def test_what_a_callback_raises_reaches_the_student_as_an_error_of_theirs():
    def refuse(x):
        raise KeyError("unexpected")

    fails(of(lambda model: model(1))(refuse), "raised", "ValueError", "unexpected")


def test_gradient_flows_through_a_source():
    cube = Source("def cube(z):\n    return z**3", "cube")
    z = torch.tensor([1.0, 2.0])
    (grad,) = of(lambda f, z: f(z)).gradient(cube, z, weights=[torch.ones(2)], wrt=[1])
    assert grad.tolist() == [3, 12]


def test_inputs_after_shows_what_was_overwritten():
    after = of(lambda x, y: x.add_(1) + y).inputs_after(torch.zeros(2), torch.zeros(2))
    assert [tensor.tolist() for tensor in after] == [[1, 1], [0, 0]]


def test_a_function_can_be_called_with_gradients_switched_off():
    def slope(x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad((x**2).sum(), x)[0]

    def careful(x):
        with torch.enable_grad():
            return slope(x)

    x = torch.tensor([1.0, 2.0])
    assert of(slope)(x).tolist() == of(careful)(x).tolist() == of(careful).without_grad(x).tolist() == [2, 4]
    fails(of(slope).without_grad(x), "raised", "does not require grad")
    asked = [{"op": "call", "args": [x], "kwargs": {}, "grad": False}, {"op": "call", "args": [x], "kwargs": {}}]
    off, on = of(slope).several(*asked)
    fails(off, "raised", "does not require grad")
    assert on.tolist() == [2, 4] and torch.is_grad_enabled()


def test_what_is_asked_later_changes_no_earlier_reply():
    buffer = torch.zeros(2)
    answers = [
        (lambda x: buffer.copy_(x), lambda reply: reply),
        (lambda x: (1.0, [buffer.copy_(x)]), lambda reply: reply[1][0]),
        (lambda x: {"of": buffer.copy_(x)}, lambda reply: reply["of"]),
    ]
    for answer, part in answers:
        one, two = of(answer).several(
            *({"op": "call", "args": [torch.full((2,), x)], "kwargs": {}} for x in (1.0, 2.0))
        )
        assert part(one).tolist() == [1, 1] and part(two).tolist() == [2, 2]


def test_gradients_are_on_unless_a_call_says_otherwise():
    function = of(lambda: torch.is_grad_enabled())
    with torch.no_grad():
        assert function() is True and function.without_grad() is False
        assert not torch.is_grad_enabled()


def test_a_gradient_that_does_not_flow_is_none():
    weights, inputs = [torch.ones(2)], (torch.ones(2), torch.ones(2))
    assert of(lambda x, y: x.detach() + y).gradient(*inputs, weights=weights, wrt=[0, 1])[0] is None
    assert of(lambda x, y: (x + y).detach()).gradient(*inputs, weights=weights, wrt=[0, 1]) == [None, None]
    assert of(lambda x, y: x + y).gradient(*inputs, weights=[None], wrt=[0]) == [None]


def test_a_function_that_writes_into_its_input_can_be_differentiated():
    (grad,) = of(lambda x: x.mul_(3)).gradient(torch.ones(2), weights=[torch.ones(2)], wrt=[0])
    assert grad.tolist() == [3, 3]


# ---- objects


class Net(torch.nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))
        self.frozen = torch.nn.Parameter(torch.ones(width), requires_grad=False)

    def forward(self, x):
        return self.weight * x + self.frozen

    def twice(self, x):
        return 2 * self(x)


def test_a_module_stays_with_the_student_and_answers():
    net = of(Net)(3)
    assert is_module(net) and "Net" in repr(net)
    x = torch.tensor([1.0, 2.0, 3.0])
    assert net(x).tolist() == [2, 3, 4] and net.twice(x).tolist() == [4, 6, 8]
    assert {name: value.tolist() for name, value in net.parameters().items()} == {"weight": [1] * 3, "frozen": [1] * 3}
    slopes = net.twice.slopes(x, weights=[torch.ones(3)])
    assert slopes["weight"].tolist() == [2, 4, 6] and slopes["frozen"] is None
    assert net.grads() == {"weight": None, "frozen": None}
    net.load({"weight": torch.zeros(3)})
    assert net(x).tolist() == [1, 1, 1]
    assert of(lambda net, x: net.twice(x), Net=Net)(net, x) is not None


def test_objects_made_from_source_can_be_handed_back():
    student = of(lambda net, optimizer: [p.grad.add_(1) for p in net.parameters()] and optimizer.step())
    net = student.make(
        Source("def net():\n    m = torch.nn.Linear(1, 1)\n    m(torch.ones(1)).backward()\n    return m", "net")
    )()
    sgd = student.make(Source("def sgd(m):\n    return torch.optim.SGD(m.parameters(), lr=1.0)", "sgd"))(net)
    before = net.parameters()
    assert student(net, sgd) is None
    after = net.parameters()
    assert torch.allclose(before["weight"] - after["weight"], torch.tensor([[2.0]]))


def test_an_object_of_one_side_is_a_function_to_another():
    """By its number the other side would find an object of its own, or none."""
    net, other = of(Net)(3), of(lambda f, x: f(x), Net=Net)
    mine = other.make(Source("import torch\ndef zero():\n    return torch.nn.Threshold(9.0, 0.0)", "zero"))()
    assert is_module(mine) and mine._target.id == net._target.id + 1
    x = torch.tensor([1.0, 2.0, 3.0])
    assert other(net, x).tolist() == [2, 3, 4] and other(mine, x).tolist() == [0, 0, 0]
    for _ in range(2):  # whatever the numbers are
        other.make(Source("import torch\ndef zero():\n    return torch.nn.Threshold(9.0, 0.0)", "zero"))()
    assert other(of(Net)(3), x).tolist() == [2, 3, 4]


def test_a_right_functions_error_quotes_nothing():
    def right(x):
        raise ValueError(f"the value is {float(x) ** 2}")

    fails(of(lambda f, x: f(x))(StandIn(right), 3.0), "raised", "ValueError")
    assert "9.0" not in of(lambda f, x: f(x))(StandIn(right), 3.0).message


def test_an_object_that_is_neither_value_nor_module_is_refused_by_name():
    fails(of(lambda: object())(), "form", "builtins.object", "not a tensor")
    assert not is_module(of(lambda: len)())


# ---- randomness


def test_every_call_finds_the_same_random_numbers_and_leaves_the_notebooks_alone():
    draw = of(lambda: torch.rand(3))
    torch.manual_seed(5)
    first = draw()
    assert torch.equal(first, draw()) and not torch.equal(first, draw.reseeded(1)())
    here = torch.rand(2)
    torch.manual_seed(5)
    assert torch.equal(here, torch.rand(2))


def test_reseeding_a_module_reseeds_its_methods():
    drop = of(torch.nn.Dropout)(0.5)
    x = torch.ones(50)
    assert torch.equal(drop(x), drop(x)) and not torch.equal(drop(x), drop.reseeded(1)(x))
    assert not torch.equal(drop.forward(x), drop.forward.reseeded(1)(x))


# ---- failures


def stub(x):
    raise NotImplementedError("f: write this function, then run the cell again")


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (stub, "stub", ["not written yet", "f: write this function"]),
        (lambda x: 1 / 0, "raised", ["ZeroDivisionError", "division by zero"]),
        (lambda x: undefined_name, "raised", ["NameError", "undefined_name"]),  # noqa: F821
        (lambda: None, "raised", ["TypeError"]),
        (lambda x: sys.exit(3), "raised", ["SystemExit"]),
        (lambda x: {1, 2}, "form", ["set"]),
        (lambda x: torch.zeros(1).expand(10**12), "form", ["MiB"]),
        (lambda x: (y for y in x), "form", ["generator"]),
    ],
)
def test_what_goes_wrong_is_a_failure_that_says_what(function, kind, words):
    fails(of(function)(torch.zeros(1)), kind, *words)


def test_an_exception_that_says_nothing_leaves_no_colon_behind():
    def silent(x):
        raise MemoryError

    assert of(silent)(torch.zeros(1)).message == "f raised MemoryError"


def test_a_name_that_is_missing_or_no_function_is_said_to_be_undefined():
    fails(local("f", {})(1), "missing", "f is not defined", "did not run")
    fails(local("f", {"f": 3})(1), "missing", "f is not defined")


def test_a_failure_passes_through_everything_a_check_does_to_it():
    failure = Failure("stub", "not written yet")
    x = torch.ones(2)
    for value in (
        failure + x,
        x + failure,
        2 * failure,
        -failure,
        failure[0],
        failure.mean(),
        failure.shape,
        x @ failure,
        torch.exp(failure),
        torch.stack([x, failure]),
        x.sub(failure),
        failure <= 1,
    ):
        assert value is failure
    assert of(lambda x: x)(failure) is failure and of(lambda x: x)([1, {"a": failure}]) is failure


def test_two_failures_with_one_cause_are_known_by_it():
    first, second = of(lambda x: x.encode(1))(torch.ones(1)), of(lambda y: y.encode(1))(torch.ones(1))
    assert first.cause == second.cause != ""


class Broken:
    def ask(self, frame, serve):
        raise LinkBroken("the process ended")


class Babbling:
    def __init__(self, reply):
        self.reply = reply

    def ask(self, frame, serve):
        return self.reply


def test_a_broken_link_and_nonsense_are_failures():
    fails(Remote(Broken(), "f")(1), "died", "the process ended")
    for reply in (b"", b"nonsense", b"\x00\x00\x00\x04null", b'\x00\x00\x00\x08{"l":[]}'):
        assert isinstance(Remote(Babbling(reply), "f")(1), Failure)


class Slow:
    """Answers that each call was interrupted, and counts them."""

    def __init__(self):
        self.asked = 0

    def ask(self, frame, serve):
        self.asked += 1
        host = Responder({"f": self.interrupt})
        return host.answer(frame, serve)

    def interrupt(self, *args):
        raise KeyboardInterrupt


def test_after_one_timeout_nothing_more_is_tried_in_this_sitting():
    slow = Slow()
    remote = Remote(Sitting(slow), "f")
    for _ in range(5):
        fails(remote(1), "timeout", "did not finish in time")
    assert slow.asked == 1
    remote = Remote(Sitting(LocalLink(Responder({"f": lambda x: x}))), "f")
    assert [remote(1), remote(2)] == [1, 2]


def test_the_students_own_line_is_quoted():
    code = compile("def f(x):\n    return x.nonsense()\n", "<ipython-input-7>", "exec")
    namespace: dict = {}
    exec(code, namespace)
    linecache.cache["<ipython-input-7>"] = (1, None, ["def f(x):\n", "    return x.nonsense()\n"], "<ipython-input-7>")
    fails(local("f", namespace)(torch.ones(1)), "raised", "in the line `return x.nonsense()`")
