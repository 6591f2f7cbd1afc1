"""Questions: answered by the truth, balanced, out of reach of whoever does not look or does not consider the plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nextstate.data.asked import AskedFrames
from nextstate.errors import UnknownNameError
from nextstate.evaluation.questions import Asker, Cases, Questions, askers_of, happens, make_questions, probe
from nextstate.evaluation.suite import group_indices
from nextstate.modalities import Proprio, Rgb
from nextstate.models import WorldModelSpec, build_any
from nextstate.models.language import Vlm
from nextstate.models.language.words import listed
from nextstate.models.pretrained import from_pretrained, save_pretrained
from nextstate.training.answering import Answered
from nextstate.worlds import WORLDS
from nextstate.worlds.scene import COLOURS

PUSH = WORLDS["push"]


def cases(snapshots: int = 60, branches: int = 4, seed: int = 0) -> Cases:
    """Scenes in which a plan's first command decides where everything goes."""
    rng = np.random.default_rng(seed)
    groups, size = group_indices(PUSH), sum(len(names) for names in PUSH.outcome_groups.values())
    group = np.repeat(np.arange(snapshots), branches)
    plan = rng.uniform(-1, 1, (len(group), 6, 2)).astype(np.float32)
    before = np.zeros((snapshots, size))
    here = rng.random((snapshots, 4)) < 0.7
    before[:, groups["objects"]] = np.repeat(here, 2, axis=1) * rng.uniform(-0.4, 0.4, (snapshots, 8))
    before[:, groups["turn"]] = np.repeat(here & (rng.random((snapshots, 4)) < 0.5), 2, axis=1) * 0.7
    before = before[group]
    outcomes = np.repeat(before[:, None], 6, axis=1)
    steps = np.linspace(0, 0.1, 6)[None, :, None] * plan[:, None, 0]
    moved = np.tile(steps, (1, 1, 4)) * np.repeat(here[group], 2, axis=1)[:, None]
    outcomes[..., groups["objects"]] += moved
    events = np.repeat((plan[:, :1, :1] > 0), 6, axis=1).repeat(len(PUSH.events), axis=2)
    return Cases(PUSH, group, plan, before, outcomes, np.zeros((len(group), len(PUSH.events)), bool), events)


def test_every_question_has_as_many_yeses_as_noes() -> None:
    asked = make_questions(cases(), np.random.default_rng(0), 40)
    topics = {asked.askers[number].topic for number in asked.which}
    assert {"colour", "shape", "relation", "fits", "count", "moves", "direction", "contact"} <= topics
    for number in np.unique(asked.which):
        mine = asked.answer[asked.which == number]
        assert mine.mean() == 0.5 and len(mine) <= 40
    assert asked.accuracy(np.ones(len(asked)))["physics"]["all"] == 0.5


def test_a_picture_without_the_plan_answers_no_question_about_plans() -> None:
    given = cases()
    asked = make_questions(given, np.random.default_rng(0))
    physics = np.flatnonzero(asked.of("physics"))
    for number in np.unique(asked.which[physics]):
        mine = physics[asked.which[physics] == number]
        groups = given.group[asked.case[mine]]
        for group in np.unique(groups):
            assert sorted(asked.answer[mine[groups == group]].tolist()) == [False, True]


def test_imagination_answers_as_well_as_it_imagines() -> None:
    given = cases()
    asked = make_questions(given, np.random.default_rng(0))
    assert (asked.answered_in(given) == asked.answer).all()
    frozen = given.imagined(np.repeat(given.before[:, None], 6, axis=1), np.zeros_like(given.events))
    told = asked.accuracy(asked.answered_in(frozen))
    assert told["physics"]["all"] == pytest.approx(0.5, abs=0.02) and told["knowledge"]["all"] == 1.0


def test_a_probe_learns_what_is_linear_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    askers = [Asker("physics", "contact", "does it?", happens("contact"))]
    features, noise = rng.normal(size=(300, 20)), rng.normal(size=(300, 20))
    asked = Questions(askers, np.zeros(300, int), np.arange(300), features[:, 3] > 0)
    halves = [
        Questions(askers, asked.which[rows], asked.case[rows], asked.answer[rows])
        for rows in (slice(200), slice(200, None))
    ]
    good = halves[1].accuracy(probe(features[:200], halves[0], features[200:], halves[1]))["physics"]["all"]
    none = halves[1].accuracy(probe(noise[:200], halves[0], noise[200:], halves[1]))["physics"]["all"]
    assert good > 0.85 and none < 0.65


def hiding(snapshots: int = 80, branches: int = 3) -> Cases:
    """Scenes of `occlude` whose right half a screen hides; a plan's first command pushes everything there or back."""
    world, rng = WORLDS["occlude"], np.random.default_rng(0)
    groups, size = group_indices(world), sum(len(names) for names in world.outcome_groups.values())
    group = np.repeat(np.arange(snapshots), branches)
    plan = rng.uniform(-1, 1, (len(group), 6, 2)).astype(np.float32)
    here = (rng.random((snapshots, 3)) < 0.7)[group]
    places = (rng.uniform(-0.2, 0.2, (snapshots, 3, 2)))[group] * here[..., None]

    def outcome(moved: np.ndarray) -> np.ndarray:
        found = np.zeros((len(group), size))
        at = places + moved[:, None, None] * np.array([1.0, 0.0]) * here[..., None]
        found[:, groups["objects"]] = at.reshape(len(group), -1)
        found[:, groups["hidden"]] = here & (at[..., 0] > 0)
        return found

    ahead = np.stack([outcome(step * plan[:, 0, 0]) for step in np.linspace(0, 0.2, 6)], axis=1)
    none = np.zeros((len(group), len(world.events)), bool)
    return Cases(world, group, plan, outcome(np.zeros(len(group))), ahead, none, np.repeat(none[:, None], 6, axis=1))


def test_what_the_screen_hides_is_asked_about_and_is_not_what_is_absent() -> None:
    given = hiding()
    asked = make_questions(given, np.random.default_rng(0))
    topics = np.array([asked.askers[number].topic for number in asked.which])
    assert {"behind", "vanishes", "emerges", "moves unseen", "colour", "count", "relation"} <= set(topics)
    behind = topics == "behind"
    # The instant decides, so it is asked once of each, and one to whom things out of sight are gone cannot tell.
    for number in np.unique(asked.which[behind]):
        groups = given.group[asked.case[asked.which == number]]
        assert len(groups) == len(np.unique(groups))
    groups = group_indices(given.world)
    forgetful = given.before.copy()
    hidden = np.repeat(forgetful[:, groups["hidden"]] > 0, 2, axis=1)
    forgetful[:, groups["objects"]] *= ~hidden
    forgetful[:, groups["hidden"]] = 0
    told = asked.answered_in(given.imagined(given.outcomes, given.events, forgetful))
    assert not told[behind].any() and asked.answer[behind].any()


def test_what_happens_behind_a_screen_is_told_by_the_truth() -> None:
    """A red thing goes behind the screen, a green one comes out, a blue one moves unseen; then all is undone."""
    world = WORLDS["occlude"]
    groups, size = group_indices(world), sum(len(names) for names in world.outcome_groups.values())
    before, after = np.zeros((2, size)), np.zeros((2, 6, size))
    before[:, groups["objects"]] = [-0.1, 0, 0.1, 0, 0.2, 0]
    before[:, groups["hidden"]] = [0, 1, 1]
    after[:] = before[:, None]
    after[0, :, groups["objects"]] = np.array([0.1, 0, -0.1, 0, 0.2, 0.1])[:, None]
    after[0, 2:, groups["hidden"]] = np.array([1, 0, 1])[:, None]
    none = np.zeros((2, len(world.events)), bool)
    given = Cases(world, np.zeros(2, int), np.zeros((2, 6, 2)), before, after, none, np.repeat(none[:, None], 6, 1))

    def told(text: str) -> list[bool | None]:
        asker = next(asker for asker in askers_of("occlude") if asker.text == text)
        can, yes = asker.ask(given)
        return [bool(answer) if asked else None for asked, answer in zip(can, yes, strict=True)]

    red, green, blue = COLOURS[:3]
    assert told(f"does the {red} object vanish behind the screen?") == [True, False]
    assert told(f"does the {green} object vanish behind the screen?") == [None, None]
    assert told(f"does the {green} object come out from behind the screen?") == [True, False]
    assert told(f"does the {blue} object come out from behind the screen?") == [False, False]
    assert told(f"does the {blue} object move behind the screen?") == [True, False]
    assert told(f"does the {green} object move behind the screen?") == [None, False], "it comes into sight"
    assert told(f"is the {green} object behind the screen?") == [True, True]
    assert told(f"is the {red} object behind the screen?") == [None, None]
    assert told(f"is a {red} object in sight?") == [True, True] and told("is one object in sight?") == [True, True]


def test_worlds_nobody_asks_about_say_so() -> None:
    given = cases(4)
    with pytest.raises(UnknownNameError, match="drop"):
        make_questions(Cases(WORLDS["drop"], *list(vars(given).values())[1:]), np.random.default_rng(0))


TEXTS = ("is it bright?", "does it go right?", "is it very bright?")


def talker() -> Vlm:
    modalities = {"rgb": Rgb(shape=(32, 32, 3)), "proprio": Proprio(shape=(2,))}
    torch.manual_seed(0)
    options = {"vocabulary": listed((*TEXTS, "yes no")), "backbone": "trained", "looks": True}
    model = build_any(WorldModelSpec("vlm", modalities, 2, 10.0, 1, 4), "vlm-tiny", **options)
    assert isinstance(model, Vlm)
    return model


def test_questions_about_one_frame_are_drawn_together_and_alike_often() -> None:
    frame = np.array([2, 0, 2, 2, 1, 2, 2])
    words = np.arange(7)[:, None]
    plans = np.arange(3.0)[:, None, None] * np.ones((3, 4, 2))
    frames = AskedFrames({"rgb": np.arange(10)}, np.array([5, 7, 9]), plans, frame, words, words[:, 0] % 2 == 0, 3)
    assert frames.rows == 3 and frames.questions == 7
    batch = frames.batch(0, 6000)
    about = frame[batch["words"][..., 0]]
    assert (about == about[:, :1]).all(), "of one batch row all questions are about its frame"
    assert (batch["rgb"] == np.array([5, 7, 9])[about[:, 0]]).all() and (batch["plan"][:, 0, 0] == about[:, 0]).all()
    assert (batch["answer"] == (batch["words"][..., 0] % 2 == 0)).all()
    busy = np.sort(batch["words"][about[:, 0] == 2, :, 0], axis=1)
    assert (np.diff(busy, axis=1) > 0).all(), "none comes twice where there are enough"
    assert np.bincount(batch["words"].ravel(), minlength=7) / batch["words"].size == pytest.approx(1 / 7, abs=0.01)
    alone = frames.of([0, 6])
    assert alone["words"].tolist() == [[1], [6]] and alone["rgb"].tolist() == [5, 9]


def test_who_is_asked_several_questions_answers_each_as_if_alone() -> None:
    model = talker()
    words = torch.from_numpy(np.stack([model.instruction(text) for text in TEXTS]))
    generator = torch.Generator().manual_seed(0)
    seen = {
        "rgb": torch.randint(0, 255, (2, 32, 32, 3), generator=generator, dtype=torch.uint8),
        "proprio": torch.randn(2, 2, generator=generator),
        "plan": torch.randn(2, 4, 2, generator=generator),
    }
    with torch.no_grad():
        together = model.yes({**seen, "words": words.expand(2, -1, -1)})
        alone = torch.stack([model.yes({**seen, "words": row.expand(2, -1)}) for row in words], dim=1)
    assert together.shape == (2, 3) and torch.allclose(together, alone, atol=1e-5)
    assert together.std() > 1e-4


def test_the_model_that_answers_learns_to_look_and_to_consider_the_plan(tmp_path: Path) -> None:
    model = talker()
    words = torch.from_numpy(np.stack([model.instruction(text) for text in TEXTS[:2]]))

    def batch(step: int, size: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        bright, right, which = (torch.randint(0, 2, (size,), generator=generator) for _ in range(3))
        plan = torch.zeros(size, 4, 2)
        plan[..., 0] = (2 * right - 1)[:, None]
        rgb = (60 + 130 * bright).to(torch.uint8)[:, None, None, None].expand(-1, 32, 32, 3).contiguous()
        answer = torch.where(which == 0, bright, right).bool()
        body = torch.randn(size, 2, generator=generator)
        return {"rgb": rgb, "proprio": body, "plan": plan, "action": plan, "words": words[which], "answer": answer}

    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(120):
        model.loss(batch(step, 32), torch.Generator(), 0.0)["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
    save_pretrained(model, tmp_path / "model", {})
    again = from_pretrained(tmp_path / "model")
    held = {name: values.numpy() for name, values in batch(10**6, 128).items()}
    kinds = np.where(held["words"][:, -2] == words[0, -2].item(), "knowledge", "physics")
    errors = Answered(held, kinds).measure(again, torch.device("cpu")).errors
    (knows,), (foresees,) = (errors["model"][kind].values() for kind in ("knowledge", "physics"))
    assert knows < 0.3 and foresees < 0.3
    assert next(iter(errors["blind"]["knowledge"].values())) > 0.5
    assert next(iter(errors["planless"]["physics"].values())) > 0.5
