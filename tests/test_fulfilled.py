"""Whether in recorded episodes what was asked for happened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nextstate.commands.direct import only_fulfilled
from nextstate.data import open_cache
from nextstate.data.facts import factors_of
from nextstate.data.recording import Plan, record
from nextstate.evaluation import named
from nextstate.evaluation.named import Witness, fulfilled
from nextstate.worlds import WORLDS, make_world
from nextstate.worlds.scene import COLOURS


@pytest.mark.parametrize(("name", "episodes", "steps"), [("push", 8, 40), ("spill", 4, 30)])
def test_a_recording_tells_what_the_simulator_tells(name: str, episodes: int, steps: int, tmp_path: Path) -> None:
    record(Plan(name, skill_fraction=1.0, steps=steps, base_seed=20), tmp_path, episodes, workers=1)
    cache, world = open_cache(tmp_path, workers=1), make_world(name, modalities=["proprio"])
    skills = [next(n for n, s in WORLDS[name].skills.items() if task in s.instructions) for task in cache.tasks]
    found, true = fulfilled(cache, tmp_path, np.arange(episodes), skills, steps), []
    for number, skill in enumerate(skills):
        world.reset(seed=20 + number)
        assert factors_of(tmp_path)[number] == pytest.approx(dict(world.factors))
        witness, did = Witness(world, skill), False
        for action in cache.arrays["action"][cache.starts[number] :][:steps]:
            world.advance_action(action)
            did = witness.look()
        true.append(did)
    assert found.tolist() == true and any(true)
    # Asked for something else, the same episodes did not do it.
    others = [skills[(n + 1) % episodes] for n in range(episodes)]
    differ = np.array([one != other for one, other in zip(skills, others, strict=True)])
    assert not fulfilled(cache, tmp_path, np.arange(episodes), others, steps)[differ].all()
    unknown = replace(cache, world="elsewhere")
    assert fulfilled(unknown, tmp_path, np.arange(episodes), others, steps).all()


def test_a_thing_that_moves_alone_has_gone_farther_than_all_others() -> None:
    world, rng = WORLDS["push"], np.random.default_rng(0)
    rows = named.group_indices(world)["objects"][:2]
    for _ in range(2000):
        before = rng.uniform(-0.5, 0.5, sum(len(names) for names in world.outcome_groups.values()))
        after = before.copy()
        after[rows] += rng.uniform(0.1, 0.4) * np.array([-1.0, rng.uniform(-0.49, 0.49)])
        assert named.pushed(world, f"push_{COLOURS[0]}_left", before, after)


def test_what_failed_is_not_learned_from_and_never_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(Plan("push", skill_fraction=1.0, steps=4), tmp_path, 4, workers=1)
    cache, asked = open_cache(tmp_path, workers=1), iter([True, False, True, True])
    monkeypatch.setitem(named.NAMED, "push", lambda world, skill, course: next(asked))
    kept = only_fulfilled(tmp_path, cache)
    assert len(kept.episodes) == 3 and "in 1 of" in capsys.readouterr().out
    monkeypatch.setitem(named.NAMED, "push", lambda world, skill, course: False)
    assert len(only_fulfilled(tmp_path, cache).episodes) == 4
