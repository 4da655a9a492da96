"""Do optimizers that leave the compiler alone take the steps that PyTorch's own take?"""

import subprocess
import sys

PROGRAM = """
import sys, torch
from autograder.sandbox.uncompiled import compile_nothing

if "ours" in sys.argv:
    compile_nothing()
for make in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop):
    torch.manual_seed(0)
    model, x = torch.nn.Linear(3, 2), torch.randn(5, 3)
    optimizer = make(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    for number in range(4):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        with torch.set_grad_enabled(number != 2):
            optimizer.step()
        scheduler.step()
        assert torch.is_grad_enabled()
    again = make(model.parameters(), lr=0.1)
    again.load_state_dict(optimizer.state_dict())
    print([value for p in model.parameters() for value in p.flatten().tolist()], len(again.state))
start, rate = torch.ones(2, requires_grad=True), torch.tensor(0.1, requires_grad=True)
weight = start.clone()
optimizer = torch.optim.SGD([weight], lr=rate, differentiable=True)
weight.grad = torch.tensor([1.0, 2.0])
optimizer.step()
weight.sum().backward()
print(rate.grad.item(), torch.optim.LBFGS(model.parameters()).step(lambda: torch.zeros(())).item())
print("torch._dynamo" in sys.modules)
"""


def said(*arguments):
    run = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_steps_are_the_same_and_the_compiler_is_not_asked():
    (*theirs, asked), (*ours, not_asked) = said(), said("ours")
    assert ours == theirs and len(ours) == 5
    assert (asked, not_asked) == ("True", "False")
