"""Line plots as inline SVG, coloured by the page's style sheet, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

Numbers = Sequence[float | None]

LEFT, RIGHT, TOP, BOTTOM = 40.0, 92.0, 12.0, 34.0
LINE_HEIGHT = 12.5


class Plot:
    """One pair of axes.

    Args:
        about: what a reader who cannot see it should be told.
        x, y: ranges; values beyond are cut at the edge.
        ticks: positions of the labels on each axis.
        titles: what the axes measure.
        right: room for labels at the ends of lines.
        kind: CSS class.
    """

    def __init__(
        self,
        about: str,
        x: tuple[float, float],
        y: tuple[float, float],
        ticks: tuple[Sequence[float], Sequence[float]],
        titles: tuple[str, str] = ("", ""),
        size: tuple[float, float] = (360.0, 230.0),
        right: float = RIGHT,
        kind: str = "",
    ) -> None:
        self.about, self.x, self.y, self.ticks, self.titles = about, x, y, ticks, titles
        self.width, self.height = size
        self.right, self.kind = right, kind
        self._marks: list[str] = []
        self._labels: list[tuple[float, float, str, str]] = []

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Data to drawing coordinates."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (min(max(y, self.y[0]), self.y[1]) - self.y[0]) / (self.y[1] - self.y[0])
        return (
            LEFT + across * (self.width - LEFT - self.right),
            self.height - BOTTOM - up * (self.height - TOP - BOTTOM),
        )

    def line(self, xs: Sequence[float], ys: Numbers, kind: str, label: str = "") -> None:
        """A line of CSS class `kind`, broken where values are missing, with its name at its end."""
        points = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None]
        if not points:
            return
        self._marks.append(f'<path class="line {kind}" d="{path([self.at(*p) for p in points])}"/>')
        if label:
            self._labels.append((*self.at(*points[-1]), label, kind))

    def band(self, xs: Sequence[float], lows: Numbers, highs: Numbers, kind: str) -> None:
        """An area between two lines."""
        kept = [(x, a, b) for x, a, b in zip(xs, lows, highs, strict=True) if a is not None and b is not None]
        if kept:
            outline = [self.at(x, b) for x, _, b in kept] + [self.at(x, a) for x, a, _ in reversed(kept)]
            self._marks.append(f'<path class="area {kind}" d="{path(outline)}Z"/>')

    def dot(self, x: float, y: float, kind: str, radius: float = 3.5, about: str = "") -> None:
        """A point, with a tooltip."""
        cx, cy = self.at(x, y)
        self._marks.append(
            f'<circle class="dot {kind}" cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:.1f}">'
            f"<title>{escape(about)}</title></circle>"
        )

    def bar(self, x: float, low: float, high: float, kind: str) -> None:
        """A vertical interval."""
        (cx, top), (_, bottom) = self.at(x, high), self.at(x, low)
        self._marks.append(f'<path class="line {kind}" d="M{cx:.1f} {top:.1f}V{bottom:.1f}"/>')

    def note(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        """Words at a place of the plot."""
        px, py = self.at(x, y)
        self._marks.append(
            f'<text class="note" x="{px:.1f}" y="{py - 4:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def name(self, y: float, text: str, kind: str) -> None:
        """Words beside the plot at that height, or as near to it as others leave room."""
        self._labels.append((*self.at(self.x[1], y), text, kind))

    def render(self) -> str:
        """The SVG element."""
        body = "".join([self._axes(), *self._marks, self._end_labels()])
        return (
            f'<svg class="plot {self.kind}" viewBox="0 0 {self.width:g} {self.height:g}" role="img">'
            f"<title>{escape(self.about)}</title>{body}</svg>"
        )

    def _axes(self) -> str:
        parts = []
        left, right = self.at(self.x[0], 0)[0], self.at(self.x[1], 0)[0]
        for value in self.ticks[1]:
            height = self.at(self.x[0], value)[1]
            parts.append(f'<path class="grid" d="M{left:.1f} {height:.1f}H{right:.1f}"/>')
            parts.append(f'<text x="{left - 6:.1f}" y="{height + 3.5:.1f}" text-anchor="end">{value:g}</text>')
        floor = self.at(self.x[0], self.y[0])[1]
        for value in self.ticks[0]:
            parts.append(
                f'<text x="{self.at(value, 0)[0]:.1f}" y="{floor + 15:.1f}" text-anchor="middle">{value:g}</text>'
            )
        if self.titles[0]:
            parts.append(
                f'<text class="axis" x="{(left + right) / 2:.1f}" y="{self.height - 4:.1f}" text-anchor="middle">'
                f"{escape(self.titles[0])}</text>"
            )
        if self.titles[1]:
            middle = (TOP + self.height - BOTTOM) / 2
            parts.append(
                f'<text class="axis" transform="translate(9 {middle:.1f}) rotate(-90)" text-anchor="middle">'
                f"{escape(self.titles[1])}</text>"
            )
        return "".join(parts)

    def _end_labels(self) -> str:
        parts = []
        labels = sorted(self._labels, key=lambda label: label[1])
        heights = apart([label[1] for label in labels], LINE_HEIGHT, self.height - BOTTOM + 4)
        for (x, _, text, kind), height in zip(labels, heights, strict=True):
            parts.append(f'<text class="label {kind}" x="{x + 6:.1f}" y="{height + 3.5:.1f}">{escape(text)}</text>')
        return "".join(parts)


def path(points: Sequence[tuple[float, float]]) -> str:
    """Points as the ``d`` of a path."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def apart(heights: Sequence[float], distance: float, lowest: float = math.inf) -> list[float]:
    """Sorted heights moved as little as needed to stand `distance` apart, none below `lowest`."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + distance) if placed else height)
    limit = lowest
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - distance
    return placed


def round_ticks(top: float, most: int = 5) -> tuple[float, ...]:
    """Round numbers from 0 to `top`, at most so many and one: steps of 1, 2 or 5 and zeros."""
    raw = top / most
    whole = 10.0 ** math.floor(math.log10(raw))
    step = next(whole * factor for factor in (1, 2, 5, 10) if whole * factor >= raw)
    return tuple(round(index * step, 12) for index in range(int(top / step + 1e-9) + 1))


def strip(rows: Sequence[tuple[str, Sequence[float]]], low: float, high: float) -> str:
    """Series over one time axis without words, stretched to its box: (CSS class, values) from the first to the last."""
    span = (high - low) or 1.0
    marks = []
    for kind, values in rows:
        points = [
            (100.0 * i / max(len(values) - 1, 1), 97.0 - 94.0 * (min(max(v, low), high) - low) / span)
            for i, v in enumerate(values)
        ]
        marks.append(f'<path class="line {kind}" d="{path(points)}"/>')
    return (
        f'<svg class="strip" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">{"".join(marks)}</svg>'
    )
