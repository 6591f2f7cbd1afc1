"""The language-first rival: it is what it says, it learns, it listens, and it says what is wrong."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nextstate import policies
from nextstate.cli import main
from nextstate.data import open_cache
from nextstate.data.instructed import InstructedFrames
from nextstate.errors import (
    CheckpointError,
    DatasetError,
    InstructionError,
    MissingExtraError,
    PlanningError,
    SettingsError,
)
from nextstate.modalities import Proprio, Rgb, Touch
from nextstate.models import WorldModelSpec, build_any
from nextstate.models.accounts import decision, decision_operations
from nextstate.models.language import Vla, packages
from nextstate.models.language.backbone import Llama, LlamaShape
from nextstate.models.language.eye import Eye
from nextstate.models.language.points import Points, located
from nextstate.models.language.words import Listed, Pieces, instructed, listed
from nextstate.models.operations import Operations
from nextstate.models.pretrained import from_pretrained, save_pretrained
from recordings import make_dataset

TASKS = ("push the red object", "stay away from the red one")


def spec() -> WorldModelSpec:
    modalities = {"rgb": Rgb(shape=(32, 32, 3)), "proprio": Proprio(shape=(4,)), "touch": Touch(shape=(1, 8))}
    return WorldModelSpec("push-vla", modalities, 2, 10.0, 1, 4)


def tiny(**options: object) -> Vla:
    torch.manual_seed(0)
    model = build_any(spec(), "vla-tiny", **{"vocabulary": listed(TASKS), "scripts": ("LATIN",), **options})
    assert isinstance(model, Vla)
    return model


def states(model: Vla, count: int = 2, text: str = TASKS[0]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "rgb": torch.randint(0, 256, (count, 32, 32, 3), generator=generator, dtype=torch.uint8),
        "proprio": torch.randn(count, 4, generator=generator),
        "touch": torch.rand(count, 1, 8, generator=generator),
        "words": torch.from_numpy(model.instruction(text)).expand(count, -1),
    }


def test_the_backbone_looks_at_nothing_ahead_and_at_nothing_absent() -> None:
    torch.manual_seed(0)
    backbone = Llama(LlamaShape(16, 2, 4, 2, 32, 11))
    tokens = torch.randn(1, 6, 16)
    absent = torch.tensor([[True, False, False, False, False, False]])
    (before,) = backbone(tokens, absent)
    changed = tokens.clone()
    changed[:, 0] += 1.0
    changed[:, 4] += 1.0
    (after,) = backbone(changed, absent)
    assert torch.allclose(before[:, 1:4], after[:, 1:4], atol=1e-6)
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-2)


def test_the_eye_keeps_every_patch_to_its_own_token() -> None:
    torch.manual_seed(0)
    eye = Eye((1,), 1, 64)
    picture = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    spotted = picture.clone()
    spotted[:, 40:48, 8:16] = 255
    changed = (eye(picture) - eye(spotted)).abs().sum(dim=-1)[0]
    assert changed.argmax() == 2 * 4 + 0 and changed[3] == 0


@pytest.mark.parametrize(
    ("preset", "least", "most"),
    [("vla-equal", 0.88e6, 0.98e6), ("vlm-equal", 0.88e6, 0.98e6), ("vla-smollm2", 85e6, 95e6)],
)
def test_sizes_without_making_them(preset: str, least: float, most: float) -> None:
    with torch.device("meta"):
        model = build_any(spec(), preset)
    assert least < sum(model.owners().values()) < most
    # Frozen parts are counted, but neither learned nor saved.
    learned = sum(p.numel() for p in model.parameters())
    assert (learned < 6e6) and (preset.endswith("equal") or learned < 0.1 * least)


def test_the_ledger_shows_two_models_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ledger", "tiny", "vla-tiny", "--json"]) == 0
    ours, theirs = json.loads(capsys.readouterr().out)
    assert ours["owners"]["language"] == 0 < theirs["owners"]["language"]
    assert min(ours["training_gflops"], theirs["training_gflops"]) > 0
    # A world model decides by seeing and foreseeing, and no word costs it anything.
    cost, other = ours["decision_gflops"], theirs["decision_gflops"]
    assert "language" not in cost and min(cost[o] for o in ("vision", "dynamics", "touch", "action")) > 0
    assert min(other[o] for o in ("language", "vision", "action")) > 0


def test_what_a_decision_costs_is_all_of_it() -> None:
    model = tiny()
    with Operations() as made:
        decision(model)()
    assert sum(decision_operations(model).values()) == made.total > 0
    with Operations() as again:
        decision(model)()
    assert again.total == made.total, "nothing is left hanging on its parts"


def test_commands_depend_on_words_picture_and_body() -> None:
    model = tiny()
    given = states(model)
    drawn = model.draw(given, torch.Generator().manual_seed(0))
    assert drawn.shape == (2, 4, 2) and bool((drawn.abs() <= 1).all())
    other = states(model, text=TASKS[1])
    for name in ("words", "rgb", "proprio", "touch"):
        changed = {**given, name: other[name] if name == "words" else given[name].flip(0)}
        assert not torch.equal(model.draw(changed, torch.Generator().manual_seed(0)), drawn), name


@pytest.mark.parametrize("options", [{}, {"backbone": "trained", "looks": True}, {"backbone": "lora", "points": 0}])
def test_a_loaded_rival_does_the_same(tmp_path: Path, options: dict[str, object]) -> None:
    model = tiny(**options).eval()
    save_pretrained(model, tmp_path / "model", {})
    again = from_pretrained(tmp_path / "model")
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    assert torch.equal(model.draw(states(model), generators[0]), again.draw(states(again), generators[1]))
    actor = policies.load(tmp_path / "model", instruction=TASKS[0])
    observation = {n: v[0].numpy() for n, v in states(model).items()}
    assert actor.select_action(observation).shape == (2,)
    with pytest.raises(PlanningError, match="follows words"):
        policies.load(tmp_path / "model", goal=observation)
    with pytest.raises(PlanningError, match="either"):
        policies.load(tmp_path / "model")


def test_points_follow_what_moves_and_what_is_spoken_of() -> None:
    torch.manual_seed(0)
    points = Points(8, 3, 5, 16)
    maps, said = torch.zeros(1, 3, 8, 8), torch.ones(1, 5)
    spotted, moved = maps.clone(), maps.clone()
    spotted[..., 1, 1], moved[..., 1, 2] = 1.0, 1.0
    told = points(spotted, said)
    assert told.shape == (1, 2, 16)
    assert not torch.allclose(told, points(moved, said), atol=1e-3)
    assert not torch.allclose(told, points(spotted, -said), atol=1e-3)
    right, down = located(moved)
    assert torch.allclose(right, right.new_tensor([[2 * 2 / 7 - 1] * 3]), atol=0.15) and bool((right > down).all())
    with pytest.raises(SettingsError, match="points=6: give a multiple of 4"):
        tiny(points=6)


def test_the_finest_map_comes_back_from_tokens() -> None:
    torch.manual_seed(0)
    eye = Eye((1, 4), 1, 64)
    picture = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    x = picture.permute(0, 3, 1, 2).float().sub(127.0).div(128.0)
    finest = eye.maps(x.contiguous(memory_format=torch.channels_last), (1, 4))[0]
    assert torch.allclose(eye.finest_map(eye(picture)), finest, atol=1e-5)


@pytest.mark.parametrize("backbone", ["frozen", "trained"])
def test_where_nothing_is_felt_nothing_is_copied(backbone: str) -> None:
    model = tiny(backbone=backbone)
    given = states(model) | {"numb": torch.tensor([True, False])}
    drawn = model.draw(given, torch.Generator().manual_seed(0))
    felt = {**given, "proprio": given["proprio"] + 1.0, "touch": 1 - given["touch"]}
    changed = model.draw(felt, torch.Generator().manual_seed(0))
    assert torch.equal(drawn[0], changed[0]) and not torch.equal(drawn[1], changed[1])
    with pytest.raises(SettingsError, match="numb=2: it is a share"):
        tiny(numb=2)
    with pytest.raises(SettingsError, match="numb=-1: it is a share"):
        build_any(spec(), "bc-small", numb=-1)
    with pytest.raises(SettingsError, match="asked=0: ask at least one"):
        tiny(asked=0)


def test_instructions_that_cannot_be_followed() -> None:
    words = Listed(listed(TASKS))
    assert words.decode(words.encode("Push the RED object")) == "push the red object"
    for text, reason in {
        "  ": "empty",
        "push " * 20: "20 tokens",
        "толкни красный": "CYRILLIC",
        "42!": "letter",
    }.items():
        with pytest.raises(InstructionError, match=reason):
            instructed(words, text, 12, ("LATIN",))
    with pytest.raises(InstructionError, match="none of the words"):
        instructed(words, "sing a song", 12, ("LATIN",))


def test_a_missing_or_damaged_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTSTATE_CACHE", str(tmp_path))
    monkeypatch.setitem(
        packages.PARTS, "gone", packages.Part("no-such", "no_such", "x", "0" * 64, lambda a, b: ({}, {}))
    )
    with pytest.raises(MissingExtraError, match=r"nextstate\[language\]"):
        packages.part("gone")
    shipped = packages.Part("json", "json", "decoder.py", "0" * 64, lambda a, b: ({}, {}))
    monkeypatch.setitem(packages.PARTS, "other", shipped)
    with pytest.raises(CheckpointError, match="not the file expected"):
        packages.part("other")
    good = packages.Part(
        "json",
        "json",
        "decoder.py",
        packages.checksum(Path(json.__file__).parent / "decoder.py"),
        lambda a, b: ({"w": torch.ones(2)}, {"made": 1}),
    )
    monkeypatch.setitem(packages.PARTS, "good", good)
    weights, facts, folder = packages.part("good")
    assert facts["made"] == 1 and weights["w"].tolist() == [1, 1]
    data = bytearray((folder / packages.WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / packages.WEIGHTS).write_bytes(data)
    with pytest.raises(CheckpointError, match="delete the folder"):
        packages.part("good")


@pytest.mark.skipif(
    not packages.installed(packages.SMOLLM2) or importlib.util.find_spec("tokenizers") is None,
    reason="needs `make language`",
)
def test_the_converted_backbone_still_knows_its_language() -> None:
    weights, facts, folder = packages.part(packages.SMOLLM2)
    backbone = Llama(LlamaShape(**facts["shape"]))
    backbone.load_state_dict({name: weight.float() for name, weight in weights.items()})
    pieces = Pieces(folder / "tokenizer.json", facts["end"])
    for text, follows in {"The capital of France is": " Paris", "one, two, three,": " four"}.items():
        with torch.no_grad():
            (states,) = backbone(backbone.embed(torch.tensor([pieces.encode(text)])))
            assert pieces.decode([int(backbone.words(states)[0, -1].argmax())]) == follows


def test_frames_carry_the_words_of_their_episode_and_the_commands_that_follow(tmp_path: Path) -> None:
    make_dataset(tmp_path, episodes=6, length=12)
    cache = open_cache(tmp_path)
    words = Listed(listed(cache.tasks))
    frames = InstructedFrames(cache, 4, lambda text: np.array(words.encode(text)), ["proprio"], "all")
    assert frames.rows == 6 * 8
    recalled = frames.over({"row": np.arange(frames.rows)})
    batch, numbers = frames.batch(0, 16), recalled.batch(0, 16)["row"]
    for place, number in enumerate(numbers):
        episode, first = divmod(int(number), 8)
        row = int(cache.starts[episode]) + first
        assert np.array_equal(batch["action"][place], cache.arrays["action"][row : row + 4])
        assert words.decode(batch["words"][place].tolist()) == cache.tasks[episode]
        assert np.array_equal(batch["proprio"][place], cache.arrays["proprio"][row])


@pytest.mark.parametrize(
    "options",
    [("backbone=trained", "points=0"), ("backbone=trained", "looks=true"), ("backbone=lora", "graft=0.6")],
)
def test_the_command_trains_it_and_goes_on(tmp_path: Path, options: tuple[str, ...]) -> None:
    make_dataset(tmp_path / "data", episodes=40, length=10)
    command = ["pretrain", "--policy", "vla", "--preset", "vla-tiny", "--data", str(tmp_path / "data")]
    command += ["--out", str(tmp_path / "run"), "--steps", "6", "--batch", "4", "--no-tensorboard"]
    command += ["--validation-windows", "2", *(("--options", *options) if options else ())]
    assert main(command) == 0
    model = from_pretrained(tmp_path / "run" / "model")
    assert model.options.vocabulary == ("0", "1", "2", "task") and model.options.scripts == ("LATIN",)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    errors = next(line for line in reversed(lines) if line["kind"] == "validation")["errors"]
    assert set(errors) == {"model", "still", "blind", "deaf"}


def test_what_a_frozen_eye_saw_once_is_what_it_sees() -> None:
    model = tiny(backbone="trained")
    given = states(model)
    memory, _ = model.memory(given)
    again, _ = model.memory({**model.recall(given), "words": given["words"]})
    assert torch.allclose(memory, again, atol=2e-2)


def test_a_dataset_without_instructions_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path, episodes=3)
    cache = open_cache(tmp_path)
    cache.tasks[:] = ["explore", "", " "]
    with pytest.raises(DatasetError, match="instruction"):
        InstructedFrames(cache, 4, lambda text: np.zeros(3), ["rgb"])


def test_it_learns_to_do_as_it_is_told() -> None:
    """Two words, two opposite commands: after a little learning it does what is said, and not what the other says."""
    model = tiny(backbone="trained", looks=True)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    told = torch.from_numpy(np.stack([model.instruction(text) for text in TASKS]))
    for step in range(60):
        generator = torch.Generator().manual_seed(step)
        which = torch.randint(0, 2, (32,), generator=generator)
        batch = {**states(model, 32), "words": told[which]}
        batch["action"] = (0.6 * (2 * which - 1)).float()[:, None, None].expand(-1, 4, 2)
        model.loss(batch, generator, 0.0)["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
    drawn = model.draw({**states(model, 2), "words": told}, torch.Generator().manual_seed(0))
    assert drawn[0].mean() < -0.3 and drawn[1].mean() > 0.3
