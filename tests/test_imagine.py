"""What-ifs from the shell: true and imagined branches, their clip, and what bad input is told."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nextstate.cli import main
from nextstate.errors import ActionError, StateError, UnknownNameError
from nextstate.imagination import compare, plan, policy_named, reach, rollout
from nextstate.imagination.clip import FORMATS, draw_clip, encode_clip
from nextstate.imagination.pictures import draw_errors, over
from nextstate.modalities import MODALITIES
from nextstate.models import pretrained
from nextstate.models.protocol import Beliefs, History, States, WorldModelSpec
from nextstate.worlds import HELD_OUT_SEED, World, make_world

SEED = HELD_OUT_SEED + 2
ABSENT = "skill of an absent colour"


class Drifting:
    """Foresees that the last picture moves right by as many pixels as commands say."""

    def __init__(self, world: World) -> None:
        self.spec = WorldModelSpec("drifting", {"rgb": world.state_spec["rgb"]}, world.action_size, 10.0, 3, 20)
        self.histories: list[History] = []

    def observe(self, history: History) -> Beliefs:
        self.histories.append(history)
        return Beliefs({"rgb": history.states["rgb"][:, -1]})

    def imagine(self, belief: Beliefs, actions: Tensor, sample: int | None = None) -> Beliefs:
        moved = (actions[..., 0].cumsum(1) * 4).round().long()
        shown = belief.tensors["rgb"]
        return Beliefs(
            {"rgb": torch.stack([torch.stack([shown[k].roll(int(m), 1) for m in moved[k]]) for k in range(len(shown))])}
        )

    def decode(self, beliefs: Beliefs, modalities: Sequence[str]) -> States:
        return {name: beliefs.tensors[name] for name in modalities}


@pytest.fixture(scope="module")
def world() -> World:
    return make_world("push")


def test_instant_holds_the_latest_history_and_continues_exactly(world: World) -> None:
    world.reset(seed=SEED)
    policy = policy_named(world, "explore:3")
    instant = reach(world, SEED, 9, policy, context=4)
    assert instant.states["rgb"].shape[0] == 4 and instant.actions.shape == (3, 2)
    assert instant.snapshot is not None and instant.snapshot.steps == 9
    world.restore(instant.snapshot)
    for name, reading in world.observe().items():
        np.testing.assert_array_equal(reading, instant.now(name))


def test_history_is_observed_once_and_cut_to_what_the_model_wants(world: World) -> None:
    instant, model = reach(world, SEED, 6, context=6), Drifting(world)
    actions = np.zeros((3, 5, 2), np.float32)
    actions[1:, :, 0] = 0.5
    imagined = rollout(model, instant, actions)["rgb"]
    assert imagined.shape == (3, 5, 64, 64, 3)
    assert len(model.histories) == 1 and model.histories[0].states["rgb"].shape[:2] == (1, 3)
    np.testing.assert_array_equal(imagined[0, -1], instant.now("rgb"))
    np.testing.assert_array_equal(imagined[1, -1], np.roll(instant.now("rgb"), 10, axis=1))


def test_plans_are_fixed_sequences_that_repeat(world: World, tmp_path: Path) -> None:
    snapshot = reach(world, SEED, 2).snapshot
    assert snapshot is not None
    slot = world.present()[0]  # type: ignore[attr-defined]
    skill = next(name for name in world.skills if name.startswith(f"push_{('red', 'green', 'blue', 'yellow')[slot]}"))
    for text in (f"skill:{skill}", "explore:4"):
        first, again = plan(world, snapshot, text, 12), plan(world, snapshot, text, 12)
        np.testing.assert_array_equal(first, again)
        assert first.shape == (12, 2) and np.abs(first).max() > 0.1
    assert not plan(world, snapshot, "zero", 12).any()
    np.save(tmp_path / "a.npy", np.full((15, 2), 0.5))
    assert (plan(world, snapshot, str(tmp_path / "a.npy"), 12) == 0.5).all()


@pytest.mark.parametrize(
    ("text", "values", "error", "words"),
    [
        ("skill:push_red_lft", None, UnknownNameError, "Did you mean 'push_red_left'"),
        (ABSENT, None, ActionError, "not possible in this scene"),
        ("sideways", None, ActionError, "cannot understand"),
        ("explore:many", None, ActionError, "whole number"),
        ("absent.npy", None, ActionError, "not a readable"),
        ("a.npy", np.full((20, 2), np.nan), ActionError, "finite"),
        ("a.npy", np.full((20, 2), 1.5), ActionError, "outside"),
        ("a.npy", np.zeros((20, 3)), ActionError, "expected shape"),
        ("a.npy", np.zeros((5, 2)), ActionError, "holds 5 commands, 20 are needed"),
        ("a.npy", np.array(["left"] * 20), ActionError, "expected numbers"),
    ],
)
def test_bad_plans_are_named(
    world: World, tmp_path: Path, text: str, values: np.ndarray | None, error: type[Exception], words: str
) -> None:
    snapshot = reach(world, SEED, 0).snapshot
    assert snapshot is not None
    if text == ABSENT:
        text = "skill:" + next(name for name, skill in world.skills.items() if not skill.possible(world))
    if values is not None:
        np.save(tmp_path / text, values)
    with pytest.raises(error, match=words):
        plan(world, snapshot, str(tmp_path / text) if text.endswith(".npy") else text, 20)


def test_instants_beyond_an_episode_are_refused(world: World) -> None:
    with pytest.raises(StateError, match="outside its episodes"):
        reach(world, SEED, world.max_steps + 1)


@pytest.mark.parametrize("kind", FORMATS)
def test_clip_has_a_column_for_each_plan(world: World, kind: str) -> None:
    instant, model = reach(world, SEED, 1), Drifting(world)
    actions = np.stack([np.zeros((4, 2)), np.full((4, 2), 0.5)]).astype(np.float32)
    futures = compare(model, world, instant, actions)
    clip = draw_clip(world.state_spec, instant, futures, ["stay", "go"], scale=2)
    assert clip.shape[0] == 5 and clip.shape[2] > 2 * 64 * 2
    encoded = encode_clip(clip, kind, 10.0)
    if kind == ".mp4":
        assert encoded[4:8] == b"ftyp"
    else:
        picture = Image.open(io.BytesIO(encoded))
        assert picture.n_frames == 5 and picture.size == clip.shape[2:0:-1]  # type: ignore[attr-defined]


def test_clip_of_what_is_not_imagined_is_refused(world: World) -> None:
    instant = reach(world, SEED, 0)
    futures = compare(Drifting(world), world, instant, np.zeros((1, 2, 2), np.float32))
    for name, error in (("depth", StateError), ("touch", StateError), ("smell", UnknownNameError)):
        with pytest.raises(error):
            draw_clip(world.state_spec, instant, futures, ["stay"], [name])


def test_no_error_is_drawn_as_nothing() -> None:
    for name, shape in (("rgb", (4, 4, 3)), ("depth", (4, 4)), ("motion", (4, 4, 3))):
        kind = MODALITIES[name](shape=shape)
        truth = np.ones(shape, np.uint8 if name == "rgb" else np.float32)
        wrong = truth.copy()
        wrong[0, 0] = 200
        picture = draw_errors(kind, truth, wrong)
        assert picture[0, 0, 3] > 200 and not picture[1:, :, 3].any()
        assert (over(picture, (7, 7, 7))[1:] == 7).all()


def test_command_writes_a_clip_and_tells_the_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "clip.webp"
    arguments = ["imagine", "--world", "push", "--seed", str(SEED), "--step", "3", "--horizon", "4", "--out", str(out)]
    assert main([*arguments, "--actions", "explore:1", "explore:2", "--against", "zero"]) == 0
    told = capsys.readouterr().out
    assert "contact" in told and "explore:2" in told and "oracle" in told
    assert json.loads((tmp_path / "clip.webp.json").read_text())["config"]["seed"] == SEED
    assert Image.open(out).n_frames == 5  # type: ignore[attr-defined]


def test_an_instant_that_was_kept_is_come_back_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, told = tmp_path / "instant.snapshot", []
    arguments = ["imagine", "--world", "push", "--horizon", "4", "--out", str(tmp_path / "clip.webp")]
    begun = ["--seed", str(SEED), "--step", "12", "--before", "explore:3"]
    for how in ([*begun, "--keep", str(kept)], ["--snapshot", str(kept)]):
        assert main([*arguments, *how, "--actions", "explore:1"]) == 0
        told.append(json.loads((tmp_path / "clip.webp.json").read_text())["event_seconds"])
    assert told[0] == told[1]
    assert main([*arguments, "--world", "spill", "--snapshot", str(kept)]) == 2
    assert "given to 'spill'" in capsys.readouterr().err
    kept.write_bytes(kept.read_bytes()[:99])
    assert main([*arguments, "--snapshot", str(kept)]) == 2
    assert main([*arguments, "--snapshot", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--world", "pusch"], "unknown world"),
        (["--world", "push", "--actions", "skill:fly"], "unknown skill"),
        (["--world", "push", "--out", "clip.avi"], "unknown clip format"),
        (["--world", "push", "--horizon", "0"], "--horizon 0"),
        (["--world", "push", "--step", "5000"], "outside its episodes"),
        (["--world", "push", "--model", "nowhere"], "nowhere"),
        (["--world", "push", "--modalities", "touch"], "no picture"),
    ],
)
def test_command_names_what_is_wrong(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["imagine", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_command_with_a_model_folder(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events are only told where something can read them; a model of another world is refused."""
    model = Drifting(world)
    config = {"spec": pretrained.spec_to_dict(model.spec)}
    monkeypatch.setattr(pretrained, "read_config", lambda folder: config)
    monkeypatch.setattr(pretrained, "from_pretrained", lambda folder: model)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ["imagine", "--model", "folder", "--world", "push", "--horizon", "3", "--out", str(tmp_path / "a.gif")]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "?" in told and "nextstate evaluate" in told
    config["spec"]["name"] = "spill-small"
    assert main(arguments) == 2
    assert "trained in world 'spill'" in capsys.readouterr().err
    config["spec"]["name"] = "mine"
    model.spec = replace(model.spec, action_size=7)
    assert main(arguments) == 2
    assert "its actions have 7 numbers" in capsys.readouterr().err
