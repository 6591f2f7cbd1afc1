"""Recordings and merged recordings as LeRobot's own reader and an independent validator see them: `make lerobot`."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nextstate.data.format import FEATURE_OF, RGB
from nextstate.data.merge import merge
from nextstate.data.recording import Plan, play, record

pytestmark = [
    pytest.mark.lerobot,
    pytest.mark.skipif(
        not any((Path(p) / "lerobot/datasets").is_dir() for p in sys.path), reason="LeRobot is not installed"
    ),
]

PLAN = Plan("push", size=32, steps=17, skill_fraction=0.5)
CHECKS = "metadata,temporal,videos,training,portability,consistency"
"""Checks about the format; the others judge robots (frozen actions, outliers) or expect vectors only."""


def stand_in(name: str) -> ModuleType:
    """LeRobot imports torchvision for augmentations, but its builds want another torch than a CPU-only one."""

    def anything(attribute: str) -> type:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return type(attribute, (), {})

    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__getattr__ = anything  # type: ignore[method-assign]
    return module


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two recordings of three episodes, merged, opened by LeRobot."""
    root = tmp_path_factory.mktemp("lerobot")
    record(PLAN, root / "a", 3, workers=1)
    record(Plan("push", size=32, steps=17, base_seed=50, skill_fraction=0.5), root / "b", 3, workers=1)
    merge([root / "a", root / "b"], root / "c")
    names = ("", ".io", ".transforms", ".transforms.v2", ".transforms.v2.functional")
    modules = {f"torchvision{name}": stand_in(f"torchvision{name}") for name in names}
    modules["torchvision"].transforms = modules["torchvision.transforms"]  # type: ignore[attr-defined]
    modules["torchvision.transforms"].v2 = modules["torchvision.transforms.v2"]  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_HOME", str(root / "home"))
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        from lerobot.datasets.lerobot_dataset import LeRobotDataset

        yield LeRobotDataset("nextstate/push", root=root / "c", video_backend="torchcodec")


def test_lerobot_reads_what_was_played(dataset: Any) -> None:
    assert (dataset.num_episodes, len(dataset), dataset.fps) == (6, 108, 10)
    for number in range(6):
        plan = PLAN if number < 3 else Plan("push", size=32, steps=17, base_seed=50, skill_fraction=0.5)
        played = play(plan, number % 3)
        items = [dataset[number * 18 + row] for row in range(18)]
        for row, item in enumerate(items):
            assert item["task"] == played.task
            assert (int(item["episode_index"]), int(item["frame_index"])) == (number, row)
            assert float(item["timestamp"]) == pytest.approx(row / 10)
            for key in (*FEATURE_OF.values(), "action", "events", "outcome"):
                values = item[key].numpy()
                if key == RGB:
                    values = np.moveaxis(np.round(values * 255), 0, -1)
                np.testing.assert_array_equal(values, played.columns[key][row])


def test_lerobot_knows_the_statistics(dataset: Any) -> None:
    actions = np.concatenate([play(PLAN, i).columns["action"] for i in range(3)])
    stats = dataset.meta.stats
    assert stats[RGB]["mean"].shape == (3, 1, 1) and 0 < stats[RGB]["mean"].min() < stats[RGB]["max"].max() <= 1
    assert int(stats["action"]["count"][0]) == 108 and (stats["action"]["min"] <= actions.min(axis=0)).all()


def test_a_validator_finds_nothing_wrong(dataset: Any) -> None:
    doctor = Path(sys.executable).with_name("lerobot-doctor")
    command = [str(doctor), "check", str(dataset.root), "--json", "--checks", CHECKS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert {result["severity"] for result in report["checks"]} == {"PASS"}, done.stdout
    assert len(report["checks"]) == len(CHECKS.split(","))
