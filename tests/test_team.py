"""Several processes train one model: they agree, share the work, and can be killed like one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file
from torch import nn

from nextstate.errors import SettingsError
from nextstate.training.launch import launch
from nextstate.training.team import Part, Team

PROCESSES = 2


def pretrain(data: Path, out: Path) -> list[str]:
    options = ["--steps", "8", "--batch", "4", "--checkpoint-every", "2", "--preset", "tiny"]
    shared = ["--validation-windows", "0", "--no-tensorboard", "--processes", str(PROCESSES)]
    return [sys.executable, "-m", "nextstate", "pretrain", "--data", str(data), "--out", str(out), *options, *shared]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nextstate.cli import main

    folder = tmp_path_factory.mktemp("team") / "push"
    assert main(["record", "--world", "push", "--out", str(folder), "--episodes", "3", "--steps", "40"]) == 0
    return folder


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < PROCESSES, reason="one core")
def test_a_team_that_was_killed_ends_with_the_same_bits(data: Path, tmp_path: Path) -> None:
    whole = subprocess.run(pretrain(data, tmp_path / "whole"), capture_output=True, text=True, timeout=300)
    assert whole.returncode == 0, whole.stderr
    assert "2 processes" in whole.stdout and whole.stdout.count("matrix peak") == 1, "only one speaks"
    killed = subprocess.Popen(pretrain(data, tmp_path / "killed"), stdout=subprocess.DEVNULL)
    while not list((tmp_path / "killed" / "checkpoints").glob("step-*")):
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    # Whoever trains hears that the parent died, and lets go of the folder.
    for _ in range(600):
        again = subprocess.run(pretrain(data, tmp_path / "killed"), capture_output=True, text=True, timeout=300)
        if again.returncode != 2:
            break
        time.sleep(0.1)
    assert again.returncode == 0, again.stderr
    one, other = (load_file(tmp_path / n / "model" / "model.safetensors") for n in ("whole", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def averaged(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with Team.joined() as team:
        torch.manual_seed(rank)
        module = nn.ModuleDict({"used": nn.Linear(3, 1), "once": nn.Linear(3, 1), "never": nn.Linear(3, 1)})
        team.agree(module)
        inputs = torch.arange(12.0).view(4, 3)
        loss = module["used"](inputs[2 * rank : 2 * rank + 2]).square().mean()
        (loss + (module["once"](inputs[:2]).mean() if rank else 0)).backward()
        value = team.average(module, loss.detach()[None])
        array = np.zeros((4, 2), np.float16)
        array[rank::2] = rank + 1
        team.gathered({"array": array})
        heard = team.told(float(rank + 5))
        found = {"value": value, "array": array.tolist(), "heard": heard, "never": module["never"].weight.grad}
        found |= {n: module[n].weight.grad for n in ("used", "once")} | {"weights": module.state_dict()}
        torch.save(found, f"{folder}/{rank}.pt")


def test_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    port = 20_000 + os.getpid() % 20_000
    mp.start_processes(averaged, (port, str(tmp_path)), nprocs=2, start_method="spawn")
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    whole = nn.Linear(3, 1)
    whole.load_state_dict({n.removeprefix("used."): v for n, v in one["weights"].items() if n.startswith("used.")})
    loss = whole(torch.arange(12.0).view(4, 3)).square().mean()
    loss.backward()
    for found in (one, other):
        torch.testing.assert_close(found["used"], whole.weight.grad)
        torch.testing.assert_close(found["value"][0], loss.detach())
        assert found["never"] is None, "what learns nowhere is left alone"
        torch.testing.assert_close(found["once"], torch.tensor([[0.75, 1.25, 1.75]]))
        assert found["heard"] == [5.0] and found["array"] == [[1.0, 1.0], [2.0, 2.0]] * 2


def test_parts_of_a_step_are_drawn_apart() -> None:
    class Source:
        def batch(self, step: int, size: int) -> dict[str, np.ndarray]:
            return {"at": np.full(size, step)}

    parts = [Part(Source(), rank, 3).batch(5, 7)["at"].tolist() for rank in range(3)]
    assert parts == [[15, 15], [16, 16], [17, 17]]


def test_teams_that_cannot_be_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="cores"):
        launch(10_000, [])
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingsError, match="torchrun"), Team.joined():
        pass
