"""Right answers that ask for compilation, which takes minutes and changes no value."""

from .hand_in import HandIn

COMPILED = (
    HandIn("compiled", "a decorator", double="@torch.compile\ndef tiny_double(x):\n    return 2 * x", flagged=""),
    HandIn(
        "compiled",
        "a decorator with settings",
        double="@torch.compile(mode='max-autotune', fullgraph=True)\ndef tiny_double(x):\n    return 2 * x",
        flagged="",
    ),
    HandIn(
        "compiled",
        "a call",
        double="from torch import compile\ndef slow(x):\n    return 2 * x\ntiny_double = compile(slow, dynamic=True)",
    ),
    HandIn(
        "compiled",
        "a module",
        double="""
class Double(torch.nn.Module):
    def forward(self, x):
        return 2 * x
tiny_double = Double()
tiny_double.compile()
tiny_double = torch.compile(tiny_double)""",
    ),
)
