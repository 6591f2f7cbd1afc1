"""The HTML of clips: a grid of branches over truth, imagination and error, with everything felt under it."""

from __future__ import annotations

from html import escape

from nextstate.reports.scenes import LETTERS, Scene, Series
from nextstate.reports.svg import strip

KINDS = {"truth": "truth", "imagined": "imagined", "error": "error"}
SHOWN_AS = {"rgb": "colour", "depth": "depth", "motion": "motion"}


def scene(scene: Scene, number: int) -> str:
    """One snapshot: controls, clips and traces of every branch."""
    if not scene.sheets:
        return ""
    columns = len(scene.captions)
    head = "".join(
        f'<div class="branch" role="columnheader"><b>{LETTERS[i]}</b> {escape(text)}</div>'
        for i, text in enumerate(scene.captions)
    )
    rows = [f'<span class="gutter"></span>{head}']
    for kind, word in KINDS.items():
        cells = "".join(canvas(scene, kind, branch) for branch in range(columns))
        rows.append(f'<span class="gutter {kind}">{word}</span>{cells}')
    rows += [_track(series, columns) for series in scene.series]
    height, width = scene.tile
    return (
        f'<article class="scene" id="{scene.key}" data-instants="{scene.instants}" data-hz="{scene.hz:g}" '
        f'data-width="{width}" data-height="{height}">'
        f"<header><h4>Snapshot {number}</h4>{_controls(scene)}</header>{_sheets(scene)}"
        f'<div class="scroll"><div class="branches" style="--columns:{columns}">{"".join(rows)}</div></div></article>'
    )


def pair(scene: Scene) -> str:
    """The two branches that differ most, large: truth above, imagination below."""
    tiles = []
    for branch in scene.contrast:
        words = escape(scene.captions[branch])
        tiles.append(
            f'<figure><div class="tile">{canvas(scene, "truth", branch)}<span>truth</span></div>'
            f'<div class="tile">{canvas(scene, "imagined", branch)}<span class="imagined">imagined</span></div>'
            f"<figcaption>{words}</figcaption></figure>"
        )
    return f'<div class="pair">{"".join(tiles)}</div>'


def canvas(scene: Scene, kind: str, branch: int) -> str:
    """One looping clip; the script draws it from the scene's sheet."""
    height, width = scene.tile
    words = f"{KINDS[kind]}, branch {LETTERS[branch]}: {scene.captions[branch]}"
    return (
        f'<canvas data-scene="{scene.key}" data-kind="{kind}" data-row="{branch}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(words)}"></canvas>'
    )


def _sheets(scene: Scene) -> str:
    images = "".join(f'<img data-sheet="{name}" src="{uri}" alt="">' for name, uri in scene.sheets.items())
    return f'<div class="sheets" hidden>{images}</div>'


def _controls(scene: Scene) -> str:
    choices = "".join(
        f'<label><input type="radio" name="{scene.key}-picture" value="{name}"{"" if index else " checked"}>'
        f"<span>{SHOWN_AS.get(name, name)}</span></label>"
        for index, name in enumerate(scene.pictures)
    )
    return (
        '<div class="controls"><button type="button" class="play" aria-label="Play">'
        '<svg viewBox="0 0 16 16" aria-hidden="true"><path class="go" d="M4 2.5v11l9-5.5z"/>'
        '<path class="halt" d="M4 3h3v10H4zM9 3h3v10H9z"/></svg></button>'
        f'<input type="range" min="0" max="{scene.instants - 1}" value="0" aria-label="Instant">'
        f"<output>+0.0 s</output><fieldset><legend>Picture</legend>{choices}</fieldset></div>"
    )


def _track(series: Series, columns: int) -> str:
    cells = []
    for branch in range(columns):
        rows: list[tuple[str, list[float]]] = [("truth", series.truth[branch].tolist())]
        if series.imagined is not None:
            rows.append(("imagined", series.imagined[branch].tolist()))
        drawn = _lane(series, branch) if series.kind == "event" else strip(rows, series.low, series.high)
        cells.append(f'<div class="track {series.kind}">{drawn}<i></i></div>')
    return f'<span class="gutter {series.kind}">{escape(series.name)}</span>{"".join(cells)}'


def _lane(series: Series, branch: int) -> str:
    """Truth as a filled band, the imagined probability as a line over it."""
    values = series.truth[branch]
    last = len(values) - 1
    spans = []
    for step, held in enumerate(values[1:], 1):
        if held:
            spans.append(f"M{100 * (step - 1) / last:.2f} 0H{100 * step / last:.2f}V100H{100 * (step - 1) / last:.2f}Z")
    band = f'<path class="held" d="{"".join(spans)}"/>' if spans else ""
    line = strip([("imagined", [] if series.imagined is None else series.imagined[branch].tolist())], 0.0, 1.0)
    return line.replace('aria-hidden="true">', f'aria-hidden="true">{band}', 1)
