"""``thoughts.html``: the tree of imagined branches behind one decision, as film strips that open."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from nextstate.imagination.pictures import draw_states, drawable
from nextstate.imagination.thoughts import CHOSEN, IMPLAUSIBLE, ROOT, Thought, ThoughtTree
from nextstate.modalities import StateSpec
from nextstate.reports.sprites import sheet

LIKELY = 0.5
"""Probability from which an event is named."""

FRAMES = 6
"""Pictures of a strip, at most."""


def page(tree: ThoughtTree, truth: Mapping[str, np.ndarray] | None, spec: StateSpec, title: str, model: str) -> str:
    """The page as HTML, nothing in it from elsewhere.

    Args:
        tree: whose thoughts worth showing were illustrated.
        truth: modality -> ``(S, *shape)``, what the world does under the chosen line; None without a world.
    """
    style, own = (
        files("nextstate.reports").joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "thoughts.css")
    )
    shown = {thought.number for thought in tree.shown()}
    chosen = tree.chosen
    fates: dict[str, int] = {}
    for thought in tree.thoughts[1:]:
        fates[thought.fate] = fates.get(thought.fate, 0) + 1
    body = [
        f'<header class="thinking"><p class="wordmark">nextstate</p><h1>{escape(title)}</h1>'
        f"<p>{len(tree.thoughts) - 1} stretches of future imagined by {escape(model)}: "
        + escape(", ".join(f"{count} {fate}" for fate, count in fates.items()))
        + f". The present costs {tree.thoughts[ROOT].cost:.3g}"
        + (f", the end of the chosen line {chosen[-1].cost:.3g}." if chosen else "; nothing better was found.")
        + "</p></header>",
        _line(chosen, truth, spec),
        "<h2>The tree</h2><p>Each strip goes on from the one it is inside of. Open it to see what was imagined after "
        "it; stretches that were crowded out are counted, not shown.</p>",
        _children(tree, ROOT, shown, spec),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)} · thoughts · nextstate</title><style>{style}{own}</style></head>\n"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def as_json(tree: ThoughtTree, truth: Mapping[str, np.ndarray] | None, spec: StateSpec) -> dict[str, Any]:
    """The same for programs: pictures as strips of so many instants (data URLs), what is felt at every step.

    Args:
        tree, truth, spec: as of `page`.
    """
    told = tree.to_dict()
    for thought, row in zip(tree.thoughts, told["thoughts"], strict=True):
        if thought.states:
            row["states"] = _sensed(thought.states, spec)
    return {**told, "truth": None if truth is None else _sensed(truth, spec)}


def _sensed(states: Mapping[str, np.ndarray], spec: StateSpec) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in states.items():
        if name in spec and spec[name].kind == "image":
            steps, pictures = _instants(name, values, spec, FRAMES)
            found[name] = {"steps": steps.tolist(), "strip": sheet(pictures[None])}
        else:
            found[name] = np.round(values.astype(float), 4).tolist()
    return found


def _line(chosen: list[Thought], truth: Mapping[str, np.ndarray] | None, spec: StateSpec) -> str:
    if not chosen or not chosen[0].states:
        return ""
    rows = []
    for name in chosen[0].states:
        if name not in spec or spec[name].kind != "image":
            continue
        imagined = np.concatenate([thought.states[name] for thought in chosen])
        rows.append(_strip(name, f"{name}, imagined", imagined, spec, 2 * FRAMES))
        if truth is not None and name in truth:
            rows.append(_strip(name, f"{name}, what really comes", truth[name], spec, 2 * FRAMES))
    return f'<section class="chosen"><h2>The chosen line</h2>{"".join(rows)}</section>'


def _children(tree: ThoughtTree, number: int, shown: set[int], spec: StateSpec) -> str:
    children = tree.children(number)
    if not children:
        return ""
    visible = sorted((c for c in children if c.number in shown), key=lambda c: (c.fate != CHOSEN, c.cost))
    hidden = len(children) - len(visible)
    more = f'<p class="more">{hidden} more, not shown</p>' if hidden else ""
    return "".join(_thought(tree, child, shown, spec) for child in visible) + more


def _thought(tree: ThoughtTree, thought: Thought, shown: set[int], spec: StateSpec) -> str:
    tone = {CHOSEN: "is-chosen", IMPLAUSIBLE: "is-doubted"}.get(thought.fate, "")
    chances = {name.replace("_", " "): values[-1] for name, values in thought.events.items()}
    likely = [f"{name} {chance:.0%}" for name, chance in chances.items() if chance > LIKELY]
    told = f"<b>{escape(thought.fate)}</b> cost {thought.cost:.3g}, confidence {thought.confidence:.0%}" + (
        f" · {escape(', '.join(likely))}" if likely else ""
    )
    names = [name for name in thought.states if name in spec]
    images = [name for name in names if spec[name].kind == "image"]
    first = _strip(images[0], "", thought.states[images[0]], spec, FRAMES) if images else ""
    rest = "".join(_strip(name, name, thought.states[name], spec, FRAMES) for name in images[1:])
    felt = "".join(_felt(name, thought.states[name]) for name in names if spec[name].kind == "vector")
    inner = rest + felt + _children(tree, thought.number, shown, spec)
    opened = " open" if thought.fate == CHOSEN else ""
    return f'<details class="thought {tone}"{opened}><summary>{first}<span>{told}</span></summary>{inner}</details>'


def _strip(name: str, title: str, states: np.ndarray, spec: StateSpec, most: int) -> str:
    """States ``(S, h, w[, c])`` as one picture, some of them side by side."""
    steps, pictures = _instants(name, states, spec, most)
    height, width = pictures.shape[1:3]
    words = f"{title or name}: {len(steps)} instants"
    image = f'<img src="{sheet(pictures[None])}" width="{width * len(steps)}" height="{height}" alt="{escape(words)}">'
    return f"<figure>{image}{f'<figcaption>{escape(title)}</figcaption>' if title else ''}</figure>"


def _instants(name: str, states: np.ndarray, spec: StateSpec, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Some steps evenly apart, and their pictures ``(N, h, w, 3)``."""
    steps = np.unique(np.linspace(0, len(states) - 1, min(most, len(states))).round().astype(int))
    kind = spec[name] if name == "rgb" else drawable(spec[name], states)
    return steps, draw_states(kind, states[steps])


def _felt(name: str, values: np.ndarray) -> str:
    """The last reading of a sense, in numbers."""
    last = values[-1].reshape(-1)
    told = " ".join(f"{value:.2g}" for value in last[:16]) + (" ..." if last.size > 16 else "")
    return f'<p class="felt">{escape(name)} at its end: {told}</p>'
