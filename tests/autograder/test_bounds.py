"""Is what the checker computes for the student's side bounded before it is built, and is honest work let through?"""

import os
import resource

import pytest
import torch

from autograder.bounds import MAX_ENTRIES, MAX_NUMBER, Bounds, TooMuch, hold_memory, within
from autograder.sandbox.responder import Responder
from autograder.sandbox.wire import encode
from autograder.student import Failure, LocalLink, Remote, Sitting, StandIn

LONG = 5_000
HELD = torch.ones(LONG, 1, dtype=torch.float64), torch.ones(LONG, dtype=torch.float64)
LARGE = {
    "pairs of two vectors": lambda: HELD[0] - HELD[1],
    "an outer product": lambda: torch.outer(HELD[1], HELD[1]),
    "a product of matrices": lambda: HELD[0] @ HELD[0].T,
    "distances": lambda: torch.cdist(HELD[0], HELD[0]),
    "a range": lambda: torch.arange(10**8),
    "repetition": lambda: HELD[1].repeat(LONG),
    "a unit matrix": lambda: torch.eye(LONG),
    "a diagonal": lambda: torch.diag(HELD[1]),
    "draws": lambda: torch.randn(LONG, LONG, generator=torch.Generator()),
    "classes": lambda: torch.nn.functional.one_hot(torch.tensor([10**8])),
    "an endless list": lambda: torch.cat([HELD[1]] * LONG),
}


@pytest.mark.parametrize("build", LARGE.values(), ids=LARGE)
def test_what_would_be_too_large_is_not_begun(build):
    with Bounds(entries=10**6), pytest.raises(TooMuch):
        build()


def test_work_of_a_usual_size_is_done():
    x = torch.randn(300, 90, dtype=torch.float64)
    with Bounds():
        assert torch.allclose(x * x + x, (x + 1) * x)
        assert (x @ x.T).shape == (300, 300) and x.expand(1000, 300, 90)[0].sum() == x.sum()
        assert torch.cat([x] * 20).shape == (6000, 90) and x[x > 0].numel() < x.numel()
        leaf = x.clone().requires_grad_()
        assert torch.equal(torch.autograd.grad((leaf * leaf).sum(), leaf)[0], 2 * x)


def test_time_ends_as_well():
    with Bounds(seconds=0.0), pytest.raises(TooMuch, match="too long"):
        torch.ones(3) + 1


def test_sizes_are_counted_all_together():
    half = torch.ones(1).expand(MAX_ENTRIES // 2 + 1)
    within([half, {"a": 3}], "it")
    for value in ([half, half], {"n": MAX_NUMBER + 1}, [[(-MAX_NUMBER - 1,)]]):
        with pytest.raises(TooMuch):
            within(value, "it")


ASKS = {
    "vectors": "lambda f, x: f(torch.ones(5000, 1, dtype=torch.float64), torch.ones(5000, dtype=torch.float64)).sum()",
    "a number": "lambda f, x: f(x, 10**9).sum()",
    "many entries": "lambda f, x: f(torch.ones(1).expand(3 * 10**6), x[:1]).sum()",
}


@pytest.mark.parametrize("code", ASKS.values(), ids=ASKS)
@pytest.mark.parametrize("stands_in", [False, True])
def test_an_oracle_is_not_asked_for_more_than_a_check_would(code, stands_in):
    built = []

    def oracle(a, b):
        out = a * b
        built.append(out.numel())
        return out

    student = Remote(LocalLink(Responder({"f": eval(code, {"torch": torch}), "torch": torch})), "f")
    answer = student(StandIn(oracle) if stands_in else oracle, torch.ones(3))
    assert isinstance(answer, Failure) and max(built, default=0) <= MAX_ENTRIES
    honest = Remote(LocalLink(Responder({"f": lambda f, x: f(x, x)})), "f")
    assert torch.equal(honest(oracle, torch.ones(3)), torch.ones(3))


def test_an_answer_that_is_too_large_is_no_answer():
    class Forged:
        def ask(self, frame, serve):
            return encode({"value": [torch.zeros(MAX_ENTRIES, dtype=torch.uint8), torch.zeros(1)]})

    failure = Remote(Sitting(Forged()), "f")(1.0)
    assert isinstance(failure, Failure) and "too large" in failure.message


def test_a_checker_that_wants_too_much_memory_is_told_so_and_goes_on():
    """In a process of its own: a limit's breach is an exception, which costs the submission at hand."""
    if (pid := os.fork()) == 0:
        status = 1
        try:
            before = hold_memory(200 * 2**20)
            for build in (lambda: bytearray(2**30), lambda: torch.zeros(2**28)):
                with pytest.raises((MemoryError, RuntimeError)):
                    build()
            assert torch.zeros(1000).sum() == 0
            resource.setrlimit(resource.RLIMIT_DATA, before)
            status = len(bytearray(2**30)) != 2**30
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
