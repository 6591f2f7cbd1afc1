"""A study as one page: the question, what the figures say, a plot, and all figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from nextstate.reports.svg import Plot


def decoding_page(question: str, found: Mapping[str, Any], made: str) -> str:
    """Success against the number of demonstrations, of every decoder, on imagined and on true futures.

    Args:
        found: as `studies.decoding.conclude` gives it. made: the command.
    """
    table = found["decoders"]
    plots = [
        (_curves(table, "imagined"), "On imagined futures: goals reached and held, against demonstrations."),
        (_curves(table, "oracle"), "Given the true future: what still fails is the decoding."),
    ]
    head = ("decoder", "demonstrations", "future", "strict", "95 %", "touched", "missed by", "ms a decision")
    rows = [
        _row(name, count, kind, row)
        for name, kinds in table.items()
        for kind, counts in kinds.items()
        for count, row in counts.items()
    ]
    rows += [_row(name, "", "", row) for name, row in found["references"].items()]
    note = (
        "Missed by (executability error): how far from where it was expected the farthest thing was after a decision, "
        "in shares of half the picture."
    )
    return page(question, found["says"], plots, head, rows, note, made)


def page(
    question: str,
    says: Sequence[str],
    plots: Sequence[tuple[str, str]],
    head: Sequence[str],
    rows: Sequence[str],
    note: str,
    made: str,
    words: int = 0,
) -> str:
    """One page of a study.

    Args:
        says: sentences. plots: SVG and the words below it. head: titles of the table. rows: of it, as HTML.
        note: what a reader of the table has to know. made: the command.
        words: columns of words, after that of names.
    """
    figures = "".join(f"<figure>{plot}<figcaption>{words}</figcaption></figure>" for plot, words in plots)
    kinds = ["", *[" class=words"] * words, *[""] * (len(head) - words - 1)]
    titles = "".join(f'<th scope="col"{kind}>{escape(title)}</th>' for kind, title in zip(kinds, head, strict=True))
    style = files("nextstate.reports").joinpath("report.css").read_text(encoding="utf-8")
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in says)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(question)} · nextstate</title><style>{style}</style></head>\n"
        f'<body><main><header><p class="wordmark">nextstate</p><h1>{escape(question)}</h1></header>'
        f'<ul>{said}</ul><div class="plots">{figures}</div>'
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f"<p>{escape(note)}</p><p><code>{escape(made)}</code></p></main></body></html>\n"
    )


def _row(name: str, count: str, kind: str, row: Mapping[str, Any]) -> str:
    low, high = row["strict"]["interval"]
    missed = "" if row.get("surprise") is None else f"{row['surprise']:.3f}"
    cells = (
        count,
        {"oracle": "true", "imagined": "imagined"}.get(kind, ""),
        f"{row['strict']['rate']:.0%}",
        f"{low:.0%} to {high:.0%}",
        f"{row['published']['rate']:.0%}",
        missed,
        f"{row['milliseconds']:g}",
    )
    return table_row(name, cells)


def table_row(name: str, cells: Sequence[str], words: int = 0) -> str:
    """A row of a table, as HTML; the first so many cells are words, which may be broken into lines."""
    kinds = ["<td class=words>"] * words + ["<td>"] * (len(cells) - words)
    told = "".join(f"{kind}{escape(cell)}</td>" for kind, cell in zip(kinds, cells, strict=True))
    return f'<tr><th scope="row">{escape(name)}</th>{told}</tr>'


def _curves(table: Mapping[str, Any], kind: str) -> str:
    counts = [int(count) for count in next(iter(table.values()))[kind]]
    places: Sequence[float] = [math.log2(count) for count in counts]
    plot = Plot(
        f"success of decoders, {kind} futures",
        (places[0] - 0.5, places[-1] + 0.5),
        (-0.12, 1.0),
        ((), (0, 0.25, 0.5, 0.75, 1.0)),
        ("demonstrations", "goals reached"),
    )
    for place, count in zip(places, counts, strict=True):
        plot.note(place, -0.12, str(count), "middle")
    for index, (name, kinds) in enumerate(table.items()):
        tone = f"group group{index % 6}"
        rows = [kinds[kind][str(count)]["strict"] for count in counts]
        plot.line(places, [row["rate"] for row in rows], tone, name)
        for place, row in zip(places, rows, strict=True):
            low, high = row["interval"]
            plot.bar(place, low, high, tone)
            plot.dot(place, row["rate"], tone, 3, f"{name}: {row['rate']:.0%}")
    return plot.render()
