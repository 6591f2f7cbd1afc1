"""Following words under changed conditions: what differs, what is taken away, what it adds up to."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from nextstate.acting.conditions import CONDITIONS
from nextstate.acting.heads import Heads
from nextstate.acting.instructions import follow, make_instructed
from nextstate.acting.lesions import Blinded, without_language
from nextstate.acting.shifts import shifted
from nextstate.acting.together import Rivals, follow_together
from nextstate.acting.ways import Fixed
from nextstate.commands.follow import Config, check, name_of
from nextstate.data import open_cache
from nextstate.data.instructed import InstructedFrames, silenced
from nextstate.errors import CheckpointError, SettingsError, UnknownNameError
from nextstate.evaluation.questions import Cases, make_questions
from nextstate.evaluation.suite import group_indices
from nextstate.models import WorldModelSpec, build, build_any
from nextstate.models.heads import Head
from nextstate.models.language import Cloner, Vla
from nextstate.models.language.backbone import Llama, LlamaShape
from nextstate.models.language.words import listed
from nextstate.models.pretrained import from_pretrained, save_pretrained
from nextstate.policies.aiming import Aiming
from nextstate.policies.following import Following
from nextstate.policies.heeding import Labelled
from nextstate.studies.summing import summed
from nextstate.worlds import WORLDS, World, make_world
from recordings import make_dataset


@pytest.fixture(scope="module")
def push() -> World:
    return make_world("push", 32, ("rgb", "proprio", "touch"))


def rival(world: World, preset: str = "vla-tiny") -> Vla | Cloner:
    torch.manual_seed(0)
    spec = WorldModelSpec("x", world.state_spec, 2, 10.0, 1, 4)
    texts = [text for skill in world.skills.values() for text in skill.instructions]
    model = build_any(spec, preset, vocabulary=listed(texts), scripts=("LATIN",))
    assert isinstance(model, Vla | Cloner)
    return model.eval()


def test_words_read_once_are_what_they_were() -> None:
    torch.manual_seed(0)
    backbone = Llama(LlamaShape(16, 3, 4, 2, 32, 11))
    tokens, absent = torch.randn(2, 7, 16), torch.zeros(2, 7, dtype=torch.bool)
    absent[:, 0] = True
    whole = backbone(tokens, absent, (0, 2, 3))
    past = backbone.read(tokens[:, :4], absent[:, :4], (0, 2, 3))
    rest = backbone(tokens[:, 4:], absent[:, 4:], (0, 2, 3), past=past)
    for states, before, after in zip(whole, past.states, rest, strict=True):
        # What the absent one itself is does not matter.
        assert torch.allclose(states[:, 1:], torch.cat([before, after], dim=1)[:, 1:], atol=1e-5)


def test_nothing_is_learned_from_silent_episodes_but_what_is_guessed(tmp_path: Path) -> None:
    make_dataset(tmp_path, episodes=6, length=12)
    cache = open_cache(tmp_path)
    assert silenced(cache, "task 1").tolist() == [task == "task 1" for task in cache.tasks]
    encode = lambda text: np.array([int(text[-1])])  # noqa: E731
    frames = InstructedFrames(cache, 4, encode, ["proprio"], "all", silent="task 1")
    assert 1 not in frames.batch(0, 64)["words"] and frames.rows == 4 * 8
    guesses = np.full_like(np.asarray(cache.arrays["action"]), 0.25)
    whole = InstructedFrames(cache, 4, encode, [], "all").reading({"proprio": cache.arrays["proprio"]}, guesses)
    assert (whole.batch(0, 64)["action"] == 0.25).all() and 1 in whole.batch(0, 64)["words"]


def test_each_condition_changes_what_it_says(push: World) -> None:
    usual = push.reset(seed=3)[0]
    for name, condition in CONDITIONS.items():
        if condition.shift:
            other = shifted(push, condition.shift)
            seen = other.reset(seed=3)[0]
            looks_alike = np.array_equal(seen["rgb"], usual["rgb"])
            assert looks_alike == condition.physical, name
            assert other.outcome().shape == push.outcome().shape
            other.restore(other.snapshot())
        if condition.reword:
            text = condition.reword("push", "push_red_left", np.random.default_rng(0))
            assert "red" in text and "left" in text and text not in push.skills["push_red_left"].instructions
            other = condition.reword("spill", "keep_away", np.random.default_rng(0))
            assert other not in WORLDS["spill"].skills["keep_away"].instructions


@pytest.mark.parametrize(("name", "asked"), [("push", "push"), ("spill", "tip"), ("grasp", "pick up")])
def test_what_is_asked_for_is_done_by_its_script_alone(name: str, asked: str) -> None:
    world = make_world(name, 32, ("proprio", "touch"))
    (task,) = make_instructed(world, 1, 2, 60, lambda text: text.startswith(asked))
    scripted = follow(world, Fixed(task.demonstration), task)
    assert scripted.done[-1] and not scripted.done[0]
    assert not any(follow(world, Fixed(np.zeros((1, world.action_size), np.float32)), task).done)


def test_withheld_words_are_withheld_however_a_skill_is_asked_for(push: World) -> None:
    """Episodes are silent by what was really said in them, which may be any of a skill's sentences."""
    texts = push.skills["push_red_left"].instructions
    some = next(text for text in texts[1:] if text.split()[0] != texts[0].split()[0]).split()[0]
    for asked in (True, False):
        tasks = make_instructed(push, 4, 1, 60, lambda text, asked=asked: (some in text) == asked)  # type: ignore[misc]
        assert all((some in task.instruction) == asked for task in tasks)


def test_heads_of_another_model_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    def heads(seed: int) -> Heads:
        torch.manual_seed(seed)
        spec = WorldModelSpec("x", make_world("push", 32, ("rgb", "proprio")).state_spec, 2, 10.0, 2, 4)
        return Heads(build(spec, "tiny"), tmp_path, None, 1.0, "", 0, lambda *_: nullcontext(lambda *_: None))

    heads(0)._note("inverse", {"error": 0.5})
    heads(0)
    with pytest.raises(SettingsError, match="another model"):
        heads(1)


def test_side_by_side_is_as_alone(push: World) -> None:
    tasks = make_instructed(push, 2, 1, 60, lambda text: "away" not in text)
    assert all("away" not in task.instruction for task in tasks)
    for preset in ("vla-tiny", "bc-small"):
        model = rival(push, preset)
        worlds = [make_world("push", 32, push.modalities) for _ in tasks]
        together = follow_together(worlds, Rivals(model, tasks), tasks, 6, 2)
        ends = [world.outcome() for world in worlds]
        for task, came, end in zip(tasks, together, ends, strict=True):
            alone = follow(push, Following(model, task.instruction, 2, task.seed), task, 6)
            assert alone.done == came.done and not came.died
            assert np.allclose(push.outcome(), end, atol=0.02)


def test_a_lesion_takes_away_one_thing_and_gives_it_back(push: World) -> None:
    model = rival(push)
    assert isinstance(model, Vla)
    observation = push.reset(seed=3)[0]
    (task,) = make_instructed(push, 1, 1)
    blind = Blinded(Following(model, task.instruction))
    other = {**observation, "rgb": 255 - observation["rgb"]}
    first = blind.select_action(observation)
    blind.reset()
    assert np.array_equal(blind.select_action(other), first)
    states = {n: torch.from_numpy(v)[None] for n, v in observation.items() if n in model.spec.modalities}
    states["words"] = torch.from_numpy(model.instruction(task.instruction))[None]
    whole = model.memory(states)[0]
    with without_language(model):
        assert not torch.allclose(model.memory(states)[0], whole)
    assert torch.equal(model.memory(states)[0], whole)


def test_plain_cloning_is_kept_and_loaded(push: World, tmp_path: Path) -> None:
    model = rival(push, "bc-small")
    save_pretrained(model, tmp_path / "model", {})
    again = from_pretrained(tmp_path / "model")
    observation = push.reset(seed=3)[0]
    actions = [Following(m, "push the red object to the left").select_action(observation) for m in (model, again)]
    assert np.array_equal(*actions)


def test_questions_about_spills_are_balanced() -> None:
    spill = WORLDS["spill"]
    groups, size = group_indices(spill), sum(len(names) for names in spill.outcome_groups.values())
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(200), 4)
    before = np.zeros((800, size))
    before[:, groups["bottle"]] = rng.uniform(-0.3, 0.3, (800, 4))
    before[:, groups["body"]] = rng.uniform(-0.3, 0.3, (800, 2))
    outcomes = rng.uniform(0, 1, (800, 12, size)) - 0.3
    events = rng.random((800, 12, len(spill.events))) < 0.1
    given = Cases(spill, group, rng.normal(size=(800, 12, 2)), before, outcomes, np.zeros((800, 5), bool), events)
    asked = make_questions(given, rng, 60)
    topics = {asked.askers[number].topic for number in asked.which}
    assert {"topples", "spills", "liquid", "time", "relation"} <= topics
    for number in np.unique(asked.which):
        assert asked.answer[asked.which == number].mean() == 0.5
    assert (asked.answered_in(given) == asked.answer).all()


def test_what_it_adds_up_to() -> None:
    def rate(rate: float) -> dict[str, object]:
        return {"strict": {"rate": rate, "interval": [0.0, 1.0], "trials": 100}, "milliseconds": 10.0}

    control = {"heeding": rate(0.6), "vla": rate(0.3), "bc": rate(0.2)}
    control |= {
        f"{way}, {name}": rate(0.5 if way == "heeding" else 0.1) for way in ("heeding", "vla") for name in CONDITIONS
    }
    kinds = {"imagination": (0.5, 0.9), "vlm, in words": (0.7, 0.6), "vlm, in words@vision": (0.9, 0.9)}
    answers = {
        way: dict(zip(("knowledge", "physics"), ({"all": a}, {"all": b}), strict=True)) for way, (a, b) in kinds.items()
    }
    found = summed(answers, control, ["heeding"], ["vla"], [])
    assert found["physics_gap"]["points"] == 30.0 and found["knowledge_gap"]["points"] == -20.0
    assert found["shift_gap"]["points"] == 40.0 and found["vla_vs_bc_in_distribution"]["points"] == 10.0
    assert found["new_verb_success"] == 0.5 and found["new_verb"]["vla"]["rate"] == 0.1


def test_ways_and_conditions_that_there_are_not() -> None:
    assert name_of("vla=runs/vla@vision") == "vla@vision" and name_of("heeding@vision") == "heeding@vision"
    for config, error in {
        Config(ways=("juggling",)): UnknownNameError,
        Config(ways=("heeding@taste",)): UnknownNameError,
        Config(conditions=("upside-down",)): UnknownNameError,
        Config(conditions=("silent",)): SettingsError,
        Config(ways=("heeding@language",)): SettingsError,
        Config(world="spill", conditions=("crowded",)): SettingsError,
        Config(minutes=0.0): SettingsError,
    }.items():
        with pytest.raises(error):
            check(config)


@pytest.mark.parametrize(("kind", "way"), [(Labelled, "labelled"), (Aiming, "planning")])
def test_a_missing_head_says_what_learns_it(tmp_path: Path, kind: type[Head], way: str) -> None:
    with pytest.raises(CheckpointError, match=f"nextstate follow --ways {way} --model"):
        kind.load(tmp_path)
