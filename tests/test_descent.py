"""Descent is torch's AdamW to the last bit, without the compiler that its class loads."""

from __future__ import annotations

import subprocess
import sys

import torch

from nextstate.models.descent import Descent


def test_it_is_the_class_of_torch_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    mine = [torch.randn(4, 3, generator=generator), torch.randn(3, generator=generator)]
    theirs = [value.clone().requires_grad_() for value in mine]
    descent, other = Descent(mine, 0.01, decay=0.1), torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.1)
    for step in range(20):
        slopes = [torch.randn(value.shape, generator=generator) for value in mine]
        # One is left out for a while, and stays.
        given = [slopes[0], slopes[1] if step > 5 else None]
        factor = 1 / (1 + step)
        descent.step(given, factor)
        for value, slope in zip(theirs, given, strict=True):
            value.grad = slope
        other.param_groups[0]["lr"] = 0.01 * factor
        other.step()
    assert all(torch.equal(one, two) for one, two in zip(mine, theirs, strict=True))


def test_it_loads_no_compiler() -> None:
    program = (
        "import sys, torch\n"
        "from nextstate.models.descent import Descent\n"
        "Descent([torch.zeros(2)], 0.1).step([torch.ones(2)])\n"
        "assert 'torch._dynamo' not in sys.modules, 'the compiler was loaded'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
