"""Futures under an instruction: words are the action, and the model imagines what the body does about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nextstate.errors import StateError
from nextstate.imagination.futures import Futures
from nextstate.imagination.instant import Instant
from nextstate.imagination.plans import plan
from nextstate.models.director import Director
from nextstate.models.protocol import Beliefs, WorldModel
from nextstate.models.world_model import SCENE, StateModel
from nextstate.worlds import World


def outlined(model: WorldModel) -> StateModel:
    """The model as one that outlines things, of which words speak; raises `StateError` for any other."""
    if not isinstance(model, StateModel):
        raise StateError(f"{model.spec.name} outlines no things that could be spoken of; give motor commands instead.")
    return model


def say(
    model: WorldModel, director: Director, instant: Instant, texts: Sequence[str], horizon: int
) -> tuple[Beliefs, Tensor]:
    """What comes of each of K instructions, given at an instant.

    Returns:
        beliefs ``(K, H, ...)``, to be decoded like any others, and the commands ``(K, H, A)`` that were imagined.

    Raises:
        InstructionError: for an instruction that is empty, or of which no word is known.
        StateError: for a model that outlines no things.
    """
    eye = outlined(model)
    sentences = [director.listen(text) for text in texts]
    belief = eye.observe(instant.history(eye.spec.context, list(eye.spec.modalities)))
    return directed(eye, director, belief.repeat(len(texts)), director.hear(sentences), horizon)


@dataclass(frozen=True)
class Told:
    """An instruction as it was understood.

    Args:
        heard_as: the skill that it is taken for, and how surely. nearest, likeness: as of `Sentence`.
        truth: what its true future is of: that skill by its own script, or, where the scene does not allow it or the
            world has none of that name, the commands that were imagined.
    """

    text: str
    heard_as: tuple[str, float]
    nearest: str
    likeness: float
    truth: str


def compare_said(
    model: WorldModel,
    director: Director,
    world: World,
    instant: Instant,
    texts: Sequence[str],
    horizon: int,
    modalities: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[Futures, list[Told]]:
    """What is imagined under instructions beside what the world's own skills of that meaning really come to.

    Args:
        modalities: which to decode; all that the model predicts by default. seed: of the skills' scripts.

    Raises:
        InstructionError, StateError: as of `say`.
    """
    beliefs, commands = say(model, director, instant, texts, horizon)
    wanted = list(model.spec.modalities) if modalities is None else list(modalities)
    with torch.inference_mode():
        imagined = {name: reading.cpu().numpy() for name, reading in model.decode(beliefs, wanted).items()}
    sentences = [director.listen(text) for text in texts]
    heard, told, actions = director.heard_as(director.hear(sentences)), [], commands.cpu().numpy().copy()
    for number, (sentence, (skill, chance)) in enumerate(zip(sentences, heard, strict=True)):
        truth = "the commands imagined"
        if instant.snapshot is not None:
            world.restore(instant.snapshot)
            if skill in world.skills and world.skills[skill].possible(world):
                truth = f"skill:{skill}"
                actions[number] = plan(world, instant.snapshot, truth, horizon, seed)
        told.append(Told(sentence.text, (skill, chance), sentence.nearest, sentence.likeness, truth))
    grown = None if instant.snapshot is None else world.branch(instant.snapshot, actions, wanted)
    return Futures(commands.cpu().numpy(), grown, imagined), told


@torch.inference_mode()
def directed(
    model: StateModel, director: Director, belief: Beliefs, said: Tensor, horizon: int
) -> tuple[Beliefs, Tensor]:
    """Rolls beliefs ``(N, ...)`` on while a director says what is done, in answer to what was said ``(N, 64)``.

    Returns:
        beliefs and commands as of `say`.
    """
    b = belief.tensors
    states, memories, commands = acted_out(model, director, {n: b[n] for n in model.state}, b["memory"], said, horizon)
    span = {n: torch.stack([state[n] for state in states], dim=1) for n in model.state}
    scene = {n: b[n][:, None].expand(-1, horizon, *b[n].shape[1:]) for n in SCENE}
    return Beliefs({**span, "memory": torch.stack(memories, dim=1), **scene}), torch.stack(commands, dim=1)


def acted_out(
    model: StateModel, director: Director, state: Mapping[str, Tensor], memory: Tensor, said: Tensor, horizon: int
) -> tuple[list[dict[str, Tensor]], list[Tensor], list[Tensor]]:
    """States and memories after each of H steps, and the commands ``(N, A)`` that led there, in answer to what was
    said ``(N, 64)``."""
    now, states, memories, commands = dict(state), list[dict[str, Tensor]](), list[Tensor](), list[Tensor]()
    with model.precision(len(said)):
        for _ in range(horizon):
            commands.append(director.command(looked_at(model, now), said).float())
            now, memory = model.dynamics(now, memory, commands[-1])
            states.append(now)
            memories.append(memory)
    return states, memories, commands


def looked_at(model: StateModel, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a director sees of a state: ``places``, ``codes`` and ``felt``, ``(N, ...)``."""
    felt = [state[n].float().flatten(1).clamp(-FELT, FELT) for n in model.vectors]
    count = len(state["places"])
    joined = torch.cat(felt, dim=1) if felt else torch.zeros(count, 1, device=state["places"].device)
    return {"places": state["places"].float(), "codes": state["codes"].float(), "felt": joined}


FELT = 8.0
"""Standard deviations beyond which a feeling counts no more."""
