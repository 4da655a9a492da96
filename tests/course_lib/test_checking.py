"""What a student reads when a check passes, when it fails, and how it looks in a notebook."""

import math

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from course_lib import CheckFailed, expect, verify_equation

NAN, INF = math.nan, math.inf


def f32(*values):
    return torch.tensor(values, dtype=torch.float32)


def message(got, truth, **options):
    with pytest.raises(CheckFailed) as caught:
        expect(got, truth, "claim", **options)
    text = str(caught.value)
    assert text.startswith("✗ claim: ") and "\n" not in text and len(text) < 220
    return text.removeprefix("✗ claim: ")


@pytest.mark.parametrize(
    "got, truth",
    [
        (f32(1, 2), f32(1, 2)),
        (f32(1, 2 + 1e-5), f32(1, 2)),
        (torch.tensor(2.0), 2.0),
        (2.0, torch.tensor(2.0)),
        (f32(NAN, INF, -INF), f32(NAN, INF, -INF)),
        (torch.arange(3), torch.arange(3)),
        (torch.zeros(0, 3), torch.zeros(0, 3)),
        (np.ones(2), [1, 1]),
        (f32(1, 2).requires_grad_(), f32(1, 2)),
        ((f32(1), 2), (f32(1), 2)),
        ([f32(1), f32(2)], [f32(1), f32(2)]),
        (True, True),
        (np.bool_(True), True),
        (torch.tensor(True), True),
        ("a", "a"),
        (None, None),
        (torch.float32, torch.float32),
        (1e-30, 1.2e-30),
    ],
)
def test_equal_results_pass_and_say_so(got, truth, capsys):
    assert expect(got, truth, "closed form equals torch.distributions", hint="unused") is None
    assert capsys.readouterr().out == "✓ closed form equals torch.distributions\n"


@pytest.mark.parametrize(
    "got, truth, text",
    [
        (torch.ones(5, 3), torch.ones(5), "expected shape (5,), got (5, 3)."),
        (torch.ones(5), torch.tensor(1.0), "expected shape () (a scalar), got (5,)."),
        (torch.Size([5, 3]), torch.Size([5]), "expected shape (5,), got (5, 3)."),
        (torch.Size([]), torch.Size([40]), "expected shape (40,), got ()."),
        ([torch.Size([3])], [torch.Size([4])], "result 1 of 1: expected shape (4,), got (3,)."),
        (3, torch.Size([3]), "expected shape (3,), got 3."),
        (torch.ones(2), torch.ones(2).double(), "expected dtype float64, got float32."),
        (torch.tensor(1), torch.tensor(1.0), "expected dtype float32, got int64."),
        (
            None,
            torch.ones(5),
            "expected a tensor of shape (5,), got None (is the return statement missing?).",
        ),
        (None, 1.5, "expected 1.5, got None (is the return statement missing?)."),
        (3.0, 2.5, "expected 2.5, got 3."),
        (5.0, 2.5, "expected 2.5, got 5; it is 2 times the expected."),
        (1.25, 2.5, "expected 2.5, got 1.25; it is 1/2 times the expected."),
        (-2.5, 2.5, "expected 2.5, got -2.5; the sign is the opposite."),
        (0.4, 2.5, "expected 2.5, got 0.4; it is one over the expected."),
        (0.0, 2.5, "expected 2.5, got 0."),
        (NAN, 2.5, "expected 2.5, got nan."),
        (2.5, INF, "expected inf, got 2.5."),
        (-INF, INF, "expected inf, got -inf."),
        (f32(1, NAN, INF), f32(1, 2, 3), "expected 2, got nan at [1] (2 of 3 entries are nan or inf)."),
        (
            f32(1, 2, 9),
            f32(1, 2, 4),
            "expected 4, got 9 at [2], where it differs most (1 of 3 entries differ).",
        ),
        (
            f32(1, NAN),
            f32(NAN, NAN),
            "expected nan, got 1 at [0], where it differs most (1 of 2 entries differ).",
        ),
        (f32(2, 4, 8), f32(1, 2, 4), "differ); all are 2 times the expected."),
        (f32(-1, -2, -4), f32(1, 2, 4), "differ); the sign is the opposite."),
        (f32(2, 3, 5), f32(1, 2, 4), "differ); all are too large by 1."),
        (f32(1, 0.5, 0.25), f32(1, 2, 4), "differ); all are one over the expected."),
        (f32(0, 1, 3), f32(1, 2, 4), "differ); all are too small by 1."),
        (torch.ones(2), (torch.ones(2), torch.ones(2)), "expected 2 results, got a tensor of shape (2,)."),
        ((1.0,), (1.0, 2.0, "x"), "expected 3 results, got 1."),
        (
            (f32(1), f32(3)),
            (f32(1), f32(2)),
            "result 2 of 2: expected 2, got 3 at [0].",
        ),
        (False, True, "this does not hold."),
        (torch.tensor(True), False, "this holds, but should not."),
        (f32(1), True, "expected True, got a tensor of shape (1,)."),
        (1.0, "one", "expected 'one', got 1.0."),
        ("one", 1.0, "expected 1.0, got 'one'."),
        (torch.nn.Linear(1, 1), torch.ones(3), "got a Linear (did you mean to call it?)."),
        ([1.0, 2.0], torch.ones(2), "expected a tensor of shape (2,), got a list of 2."),
        (torch.float64, torch.float32, "expected torch.float32, got torch.float64."),
    ],
)
def test_a_failure_says_what_was_expected_and_what_came(got, truth, text):
    assert text in message(got, truth) + "."


def test_the_place_has_as_many_indices_as_axes():
    got = torch.zeros(3, 4, 5)
    got[2, 1, 3] = 7
    assert "got 7 at [2, 1, 3]" in message(got, torch.zeros(3, 4, 5))


def test_the_hint_ends_the_message():
    with pytest.raises(CheckFailed) as caught:
        expect(2.5, 1.0, "claim", hint="the factor 1/2.")
    assert str(caught.value) == "✗ claim: expected 1, got 2.5. Look at: the factor 1/2."
    with pytest.raises(CheckFailed) as caught:
        expect(2.5, 1.0, "a claim that needs more words", hint="the factor 1/2, and the sum over the axis")
    first, second = str(caught.value).splitlines()
    assert first.endswith("got 2.5.") and second == "  Look at: the factor 1/2, and the sum over the axis."


def test_a_hint_that_asks_keeps_its_question_mark():
    with pytest.raises(CheckFailed, match=r"Look at: over which root\?$"):
        expect(2.5, 1.0, "claim", hint="over which root?")


def test_tolerances():
    message(f32(1, 2.01), f32(1, 2))
    expect(f32(1, 2.01), f32(1, 2), "loose", rtol=0.01)
    expect(f32(0, 0.5), f32(0, 0), "absolute", atol=0.5)
    message(f32(1, 2).double() + 1e-5, f32(1, 2).double())  # double precision is held to more
    message(1.0 + 1e-9, 1.0, rtol=1e-12, atol=0)  # Python numbers are not rounded to float32 first
    expect(f32(1, 2).bfloat16() + 0.01, f32(1, 2).bfloat16(), "coarse")


def test_nothing_is_changed_by_looking():
    x = f32(1, 2).requires_grad_()
    expect(x, f32(1, 2), "same")
    assert x.requires_grad and x.grad is None


def test_an_equation_shows_no_digits_of_rounding_errors(capsys):
    third = torch.tensor(1 / 3, dtype=torch.float64)
    verify_equation(7, -0.18, 3 * (third - 1 / 3) + 1.1e-16, relation="<=")
    verify_equation(36, torch.tensor([-8.9e-16, 2.0], dtype=torch.float64), torch.tensor([0.0, 2.0]))
    verify_equation(17, *torch.tensor([4.8898e-16, 4.8898e-16], dtype=torch.float64))  # digits that both sides have
    assert capsys.readouterr().out.splitlines() == [
        "✓ (7) -0.18 <= 0",
        "✓ (36) 0 = 0, and so in all 2 entries",
        "✓ (17) 4.8898e-16 = 4.8898e-16",
    ]


def test_equations(capsys):
    verify_equation(3, 0.363151, torch.tensor(0.363151))
    verify_equation("4a", 1, 1.0, torch.ones(2, 2))
    verify_equation(5, 1.0, 1.0, 2.5, relation="<=")
    verify_equation(6, 0.5, 0.53, standard_error=0.01)
    verify_equation(8, 1.612, 1.606, relation="≈", rtol=0.01)
    verify_equation(7, INF, INF)
    assert capsys.readouterr().out.splitlines() == [
        "✓ (3) 0.36315 = 0.36315",
        "✓ (4a) 1 = 1 = 1, and so in all 4 entries",
        "✓ (5) 1 <= 1 <= 2.5",
        "✓ (6) 0.5 = 0.53 (standard error 0.01)",
        "✓ (8) 1.612 ≈ 1.606",
        "✓ (7) inf = inf",
    ]


@pytest.mark.parametrize(
    "values, options, text",
    [
        ((1.0, 1.1), {}, r"✗ \(3\) 1 = 1.1 does not hold, to within 0.0001"),
        ((1.0, 1.0, 1.1), {}, r"1 = 1.1 does not hold"),
        ((f32(1, 2), f32(1, 3)), {}, r"2 = 3 does not hold at \[1\]"),
        ((2.0, 1.0), {"relation": "<="}, r"2 <= 1 does not hold"),
        ((0.9, 1.0), {"relation": "≈", "rtol": 0.01}, r"0.9 ≈ 1 does not hold, to within 0.01"),
        ((0.5, 0.55), {"standard_error": 0.01}, r"0.5 = 0.55 does not hold"),
        ((NAN, 1.0), {}, r"nan = 1 does not hold"),
        ((NAN, 1.0), {"relation": "<="}, r"nan <= 1 does not hold"),
        ((INF, -INF), {}, r"inf = -inf does not hold"),
    ],
)
def test_a_wrong_equation_stops(values, options, text):
    with pytest.raises(CheckFailed, match=text):
        verify_equation(3, *values, **options)


def test_a_students_value_in_an_equation_is_told_as_expect_tells_it(capsys):
    verify_equation(23, f32(1, 2), f32(1, 2), of="posterior_variance", hint="unused")
    assert capsys.readouterr().out == "✓ posterior_variance: (23) 1 = 1, and so in all 2 entries\n"
    with pytest.raises(CheckFailed) as caught:
        verify_equation(23, f32(2, 4, 8), f32(1, 2, 4), of="posterior_variance", hint="the factor above the bar")
    assert str(caught.value).splitlines() == [
        "✗ posterior_variance: (23) expected 4, got 8 at [2], where it differs most (3 of 3 entries differ); "
        "all are 2 times the expected.",
        "  Look at: the factor above the bar.",
    ]
    for got, text in ((0.5, "got 0.5; it is one over the expected"), (-2.0, "got -2; the sign is the opposite")):
        with pytest.raises(CheckFailed, match=rf"^✗ q: \(7\) expected 2, {text}\.$"):
            verify_equation(7, got, 2.0, of="q")
    with pytest.raises(CheckFailed, match=r"^✗ q: \(8\) 3 <= 2 does not hold, to within .*\. Look at: Jensen\.$"):
        verify_equation(8, 3.0, 2.0, relation="<=", of="q", hint="Jensen")


def test_equations_are_used_as_meant():
    with pytest.raises(ValueError, match="at least two sides"):
        verify_equation(3, 1.0)
    with pytest.raises(ValueError, match='expected "=", "≈" or "<="'):
        verify_equation(3, 1.0, 2.0, relation="<")


def test_in_a_notebook_a_failure_is_its_message_without_frames(capsys):
    shell = InteractiveShell()
    cell = """
from course_lib import expect
import torch
def check(value):
    expect(value, torch.ones(5), "one value per image", hint="sum over the latent axis")
check(torch.ones(5, 3))
"""
    result = shell.run_cell(cell, silent=False)
    printed = capsys.readouterr().out.strip()
    lines = [
        "✗ one value per image: expected shape (5,), got (5, 3).",
        "  Look at: sum over the latent axis.",
    ]
    assert printed.splitlines() == lines
    assert isinstance(result.error_in_exec, AssertionError) and str(result.error_in_exec) == printed


def test_in_a_notebook_a_long_line_breaks_at_spaces_and_no_word_is_cut():
    hint = "the variances of the conditional, " * 4 + "torch.distributions.kl.kl_divergence_" + "of_" * 20 + "all"
    with pytest.raises(CheckFailed) as caught:
        expect(torch.ones(5, 3), torch.ones(5), "one value per image", hint=hint)
    lines = caught.value._render_traceback_()
    assert len(lines) > 3 and " ".join(lines).split() == str(caught.value).split()
    assert all(len(line) <= 80 or " " not in line.strip() for line in lines)
