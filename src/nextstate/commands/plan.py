"""``nextstate plan``: reach a goal by imagining, acting, and looking again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from nextstate.imagination import Instant
    from nextstate.models.protocol import WorldModel
    from nextstate.planning import Cost
    from nextstate.policies import Planned
    from nextstate.worlds import World


@dataclass(frozen=True)
class Config:
    """Act in a world towards a goal, planning anew every few steps in what a model imagines.

    Writes a clip (what happened above what was imagined beforehand) and beside it a JSON file with commands and costs;
    with the planner tree also thoughts.html, in which the first decision's chain of thought can be looked through.
    """

    goal: tuple[str, ...]
    """What is wanted, all of it: a picture (goal.png), readings (proprio[0]=0.1,proprio[1]=-0.2; touch[3]=2), outcomes
    (red_x=0.2,red_y=0), events (toppled, "not spilled"), or an instruction ("push the red block left")."""
    world: str = "push"
    """Which world; `nextstate worlds` lists them."""
    model: str = ""
    """Folder of a model, the world of a shipped one, or oracle (the true simulator); by default the shipped one."""
    planner: str = ""
    """shooting, cem, icem, mppi, gradient, guided, striking, tree or reminded (which needs a guide and precedents from
    `nextstate guide`, and --block 1 --horizon 30 --every 5); by default, where the goal is a
    picture and a guide lies beside the model (see `nextstate guide`), striking, or guided if the guide looks at goals,
    else icem."""
    candidates: int = 96
    """Futures imagined in each round of a planner."""
    horizon: int = 0
    """Steps looked ahead; 0 for 10, or for 6 where a guide that looks at goals leads."""
    block: int = 0
    """Steps for which a command is held; 0 for 2, or for 1 where a guide that looks at goals leads."""
    every: int = 2
    """Steps acted before planning again."""
    last: float = 0.5
    """How much more than another the last step looked ahead counts, from 0 to 1."""
    caution: float = 0.0
    """How much it counts against a plan that the model is not sure of its cost: weight of the standard deviation among
    sampled futures; of planners that draw whole plans."""
    samples: int = 0
    """Sampled futures by which that is judged, at least 2; 0 plans by the central one."""
    steps: int = 30
    """Steps to act."""
    seed: int = 2**31 + 2
    """Scene of the episode; from 2147483648 on, no model was trained on it."""
    step: int = 0
    """Control steps from the start of the episode until planning begins."""
    before: str = "zero"
    """What is done until then: zero, explore:SEED or skill:NAME."""
    scale: int = 4
    """How many times pixels are enlarged."""
    out: Path = Path("planned.webp")
    """The clip: .webp, .gif, .png (animated) or .mp4."""


def main(argv: list[str]) -> int:
    import tyro

    config = tyro.cli(Config, prog="nextstate plan", args=argv)
    import numpy as np

    from nextstate.commands.find import find_model, find_readout, model_size
    from nextstate.commands.thinking import show_thoughts
    from nextstate.data.storage import write_bytes, write_json
    from nextstate.imagination import Futures, policy_named, reach
    from nextstate.imagination.clip import check_format, draw_clip, encode_clip
    from nextstate.models.folders import folder_of
    from nextstate.planning import check_caution, goal_from
    from nextstate.policies import Planned
    from nextstate.policies.loading import planner_by
    from nextstate.provenance import provenance
    from nextstate.worlds import Branches, make_world

    check(config)
    kind = check_format(config.out)
    name = config.model or config.world
    world = make_world(config.world, size=model_size(name))
    model = find_model(name, world)
    readout = find_readout(name, world, list(model.spec.modalities))
    world.reset(seed=config.seed)
    before = policy_named(world, config.before, config.seed)
    instant = reach(world, config.seed, config.step, before, model.spec.context)
    goal = goal_from(
        config.goal, model.spec.modalities, readout, seen_by(name, model, instant), said_to(name, model, instant)
    )
    config, reserve = settled(config, goal)
    check_caution(config.planner, config.caution, config.samples)
    actor = Planned(
        model,
        planner_by(config.planner, folder_of(name), **settings_of(config), **reserve),
        goal,
        config.horizon,
        config.block,
        config.every,
        stride=config.block,
        last=config.last,
        caution=config.caution,
        samples=config.samples,
        seed=config.seed,
    )
    done = act(world, actor, instant, config.steps)
    pictures = ["rgb"] if "rgb" in model.spec.modalities else list(done["imagined"])[:1]
    truth = Branches({n: v[None] for n, v in done["states"].items()}, done["outcomes"][None], done["events"][None])
    futures = Futures(done["actions"][None], truth, {n: v[None] for n, v in done["imagined"].items()})
    clip = draw_clip(
        world.state_spec, instant, futures, [" and ".join(config.goal)], pictures, model.spec.hz, config.scale
    )
    write_bytes(config.out, encode_clip(clip, kind, model.spec.hz))
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(config).items()}
    record = {
        **provenance(f"nextstate plan {' '.join(argv)}"),
        "config": settings,
        "actions": np.round(done["actions"], 4).tolist(),
        "cost": done["costs"],
        "expected_cost": done["expected"],
        "confidence": [round(value, 4) for value in done["confidence"]],
        "milliseconds_per_decision": round(1000 * float(np.median(done["seconds"])), 1),
        "events": {e: bool(on) for e, on in zip(world.events, done["events"][-1], strict=True)},
    }
    write_json(config.out.with_name(config.out.name + ".json"), record)
    if done["thoughts"]:
        title = f"{config.world}: {' and '.join(config.goal)}"
        tree, belief, snapshot = done["thoughts"][0]
        show_thoughts(tree, belief, snapshot, world, model, readout, title, config.out.with_name("thoughts.html"))
    print(f"cost {done['costs'][0]:.4f} at first, {done['costs'][-1]:.4f} after {config.steps} steps")
    sure = done["confidence"]
    print(f"plans expected to save {max(sure):.0%} of what was left at best, the last one {sure[-1]:.0%}")
    if max(sure) < HOPELESS:
        print("no plan came nearer to the goal: it may be out of reach, or beyond the horizon.")
    print(f"{record['milliseconds_per_decision']} ms per decision ({config.planner}, {model.spec.name})")
    print(f"{config.out}: {clip.shape[2]}x{clip.shape[1]} pixels, {config.out.stat().st_size / 1e6:.2f} MB")
    return 0


def seen_by(name: str, model: WorldModel, instant: Instant) -> Callable[[Tensor], Cost] | None:
    """How a goal that is a picture costs: what the eye of a model with things makes of it, else pixels."""
    import torch

    from nextstate.models.folders import folder_of
    from nextstate.models.world_model import StateModel
    from nextstate.planning import SeenDistance
    from nextstate.policies.loading import led

    if not isinstance(model, StateModel):
        return None
    now = {kind: torch.from_numpy(instant.now(kind).copy())[None] for kind in model.images}
    return lambda picture: led(folder_of(name), SeenDistance.of(model, {"rgb": picture}, now))


def said_to(name: str, model: WorldModel, instant: Instant) -> Callable[[str], Cost] | None:
    """How a goal in words costs: as far as it is from where they lead in the imagination of a model with things."""
    from nextstate.models.folders import folder_of
    from nextstate.models.world_model import StateModel
    from nextstate.policies.loading import meant

    return (lambda text: meant(folder_of(name), model, instant, text)) if isinstance(model, StateModel) else None


def settled(config: Config, goal: Cost) -> tuple[Config, dict[str, float]]:
    """With a planner, and the steps that suit it, where none was asked for; and more settings of that planner."""
    from nextstate.planning import TimeToGo

    if isinstance(goal, TimeToGo) and config.planner in ("", goal.planner):
        planner, pace, reserve = goal.planner, dict(goal.pace), dict(goal.reserve)
    else:
        planner, pace, reserve = config.planner or "icem", {"horizon": 10, "block": 2}, {}
    horizon, block = config.horizon or pace["horizon"], config.block or pace["block"]
    return replace(config, planner=planner, horizon=horizon, block=block), reserve


def settings_of(config: Config) -> dict[str, Any]:
    """What a planner by that name is given."""
    if config.planner == "tree":
        # So that a decision costs about as much as that of other planners.
        return {"proposals": max(config.candidates // 3, 2)}
    return {"candidates": config.candidates}


def check(config: Config) -> None:
    """Raises `SettingsError` or `UnknownNameError` for options that cannot be used."""
    from nextstate.errors import SettingsError, UnknownNameError
    from nextstate.worlds import WORLDS

    if config.world not in WORLDS:
        raise UnknownNameError("world", config.world, WORLDS)
    if config.planner == "categorical":
        raise SettingsError("--planner categorical chooses from a list, and these worlds take any command; use icem.")
    limits = {"steps": (1, 1000), "scale": (1, 16), "step": (0, 10_000), "candidates": (1, 100_000)}
    limits |= {"seed": (0, 2**63 - 1), "every": (1, 1000)}
    for name, (low, high) in limits.items():
        if not low <= getattr(config, name) <= high:
            raise SettingsError(f"--{name} {getattr(config, name)}: give a whole number from {low} to {high}.")


HOPELESS = 0.05
"""Share of what was left that the best of all plans has to save, or the goal is called out of reach."""

KEPT = ("actions", "outcomes", "events", "costs", "expected", "seconds", "confidence", "thoughts")
"""What is noted of an episode, apart from states."""


def act(world: World, actor: Planned, instant: Instant, steps: int) -> dict[str, Any]:
    """Acts from the instant on; what was sensed, what had been expected, and what it cost."""
    import numpy as np

    from nextstate.commands.progress import bar

    assert instant.snapshot is not None
    world.restore(instant.snapshot)
    actor.reset()
    actor.recall(instant)
    names = [name for name in actor.model.spec.modalities if name in world.modalities]
    rows: dict[str, list[Any]] = {n: [] for n in KEPT}
    states: dict[str, list[np.ndarray]] = {name: [] for name in names}
    imagined: dict[str, list[np.ndarray]] = {name: [] for name in names}
    now = world.observe()
    rows["costs"].append(actor.cost_of(now))
    with bar("acting", "steps") as progress:
        for step in range(steps):
            began = time.perf_counter()
            planning = actor.due
            action = actor.select_action(now, world.snapshot())
            if planning:
                rows["seconds"].append(time.perf_counter() - began)
                rows["confidence"].append(actor.confidence)
                if trees := actor.thoughts:
                    rows["thoughts"].append((trees[0], actor.belief, world.snapshot()))
            expected = actor.expected(names)
            world.advance_action(action)
            now = world.observe()
            for name in names:
                states[name].append(now[name])
                imagined[name].append(expected[name].cpu().numpy())
            rows["actions"].append(action)
            rows["outcomes"].append(world.outcome())
            rows["events"].append(world.events_now())
            rows["costs"].append(actor.cost_of(now))
            rows["expected"].append(actor.cost_of({n: e.cpu().numpy() for n, e in expected.items()}))
            progress(step + 1, steps)
    stacked: dict[str, Any] = {n: np.stack(rows[n]) for n in ("actions", "outcomes", "events")}
    return {
        **stacked,
        **{n: rows[n] for n in ("costs", "expected", "seconds", "confidence", "thoughts")},
        "states": {n: np.stack(v) for n, v in states.items()},
        "imagined": {n: np.stack(v) for n, v in imagined.items()},
    }
