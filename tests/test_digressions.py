"""Exploring episodes break off, so that what would have happened otherwise can be learned."""

from __future__ import annotations

import numpy as np
import pytest

from nextstate.data.digressions import LONGEST, SHORTEST, digressing
from nextstate.data.recording import EXPLORE, Plan, play
from nextstate.worlds import WORLDS, World


class Line:
    """A stand-in for a world: only the length of a command matters here."""

    action_size = 1


def commands(chance: float, steps: int = 4000) -> np.ndarray:
    def ahead(world: World) -> np.ndarray:
        return np.ones(1, np.float32)

    def other(world: World) -> np.ndarray:
        return np.full(1, 0.5, np.float32)

    policy = digressing(ahead, [lambda: other], chance, np.random.default_rng(0))
    return np.array([policy(Line())[0] for _ in range(steps)])  # type: ignore[arg-type]


def test_without_a_chance_nothing_breaks_off() -> None:
    assert (commands(0.0) == 1).all()


def test_commands_are_withheld_turned_about_or_another_policys_for_a_few_steps() -> None:
    given = commands(0.1)
    assert set(given) == {1.0, 0.0, -1.0, 0.5}
    edges = np.flatnonzero(np.diff(given))
    lengths = np.diff(edges)[given[edges[:-1] + 1] != 1]
    assert lengths.min() >= SHORTEST and np.median(lengths) <= LONGEST
    assert 0.2 < (given != 1).mean() < 0.6


@pytest.mark.parametrize("world", WORLDS)
def test_digressing_commands_stay_within_the_action_space(world: str) -> None:
    plan = Plan(world, size=16, modalities=("proprio",), skill_fraction=0.0, digressions=0.3, steps=30)
    episode = play(plan, 0)
    assert np.abs(episode.columns["action"]).max() <= 1


def test_what_was_asked_for_in_words_is_not_broken_off() -> None:
    plain, broken = (
        play(Plan("push", 16, ("proprio",), skill_fraction=1.0, digressions=chance, steps=20), 3)
        for chance in (0.0, 1.0)
    )
    assert plain.task == broken.task != EXPLORE
    assert np.array_equal(plain.columns["action"], broken.columns["action"])
