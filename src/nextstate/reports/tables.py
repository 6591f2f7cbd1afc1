"""Figures as HTML tables, and the sentences that say what they mean."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nextstate.reports.chapter import Chapter, figure, interval, retrieval_key

ABOUT = {
    "oracle": "the true simulator, as the readout sees it",
    "copy-last": "nothing will change",
    "action-blind": "the model, told of no action",
    "blind": "the true average over actions",
    "climatology": "the average over everything",
    "gain-0.8": "true effects, a fifth too small",
    "wrong-physics": "the simulator with other masses and frictions",
    "shuffled": "answers to another action",
    "reversed": "effects turned around",
}


def headline(chapter: Chapter) -> str:
    """Everyone's main figures, a row each."""
    metrics, middle = chapter.evaluation.metrics, chapter.middle
    retrieval = retrieval_key(metrics)
    columns: list[tuple[str, tuple[str, ...], str]] = [
        (f"error at {float(h):g} s", ("nce", h), "lower is better; 1 is blind to actions") for h in chapter.horizons
    ]
    columns += [
        (f"slope at {float(middle):g} s" if middle else "slope", ("slope", middle), "size of effects; 1 is right"),
        (
            f"retrieval of {retrieval.rsplit('_', 1)[-1]}",
            (retrieval, middle),
            "futures nearest to their own truth; higher is better",
        ),
        ("event flips", ("flips",), "balanced accuracy, mean over events; 0.5 is chance"),
    ]
    columns = [c for c in columns if any(value(m, c[1]) is not None for m in chapter.predictors().values())]
    head = "".join(f'<th scope="col" title="{escape(about)}">{escape(title)}</th>' for title, _, about in columns)
    rows = []
    for name, found in chapter.predictors().items():
        own = name == chapter.model
        cells = "".join(
            f"<td>{number(value(found, keys))}{_range(chapter, keys) if own else ''}</td>" for _, keys, _ in columns
        )
        kind = "model" if own else "rival" if name in chapter.rivals() else ""
        about = f"<small>{escape(ABOUT[name])}</small>" if name in ABOUT else ""
        rows.append(f'<tr class="{kind}"><th scope="row">{escape(name)}{about}</th>{cells}</tr>')
    return _table(f'<th scope="col"></th>{head}', rows)


def events(chapter: Chapter) -> str:
    """Per event: is it foreseen in which branch it comes about, and how honest are the probabilities."""
    metrics = chapter.evaluation.metrics
    flips: Mapping[str, Any] = metrics.get("flips") or {}
    rows = []
    for event in flips:
        accuracy = figure(metrics, "flips", event)
        share = 0.0 if accuracy is None else max(0.0, min(1.0, 2 * accuracy - 1))
        cells = [number(accuracy), number(figure(metrics, "brier", event)), number(figure(metrics, "ece", event))]
        late = figure(metrics, "event_time_error", event)
        cells.append("–" if late is None else f"{late:.2f} s")
        bar = f'<td class="meter"><i style="width:{share:.0%}"></i></td>'
        name = f'<th scope="row">{escape(event.replace("_", " "))}</th>'
        rows.append(f"<tr>{name}{bar}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    if not rows:
        return ""
    titles = ("", "", "flips", "Brier", "ECE", "timing")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    return _table(head, rows, "events")


def checks(chapter: Chapter) -> str:
    """The single figures, each with what it asks."""
    metrics, middle = chapter.evaluation.metrics, chapter.middle
    asked: list[tuple[str, float | None, str]] = [
        (
            "shuffle gap",
            figure(metrics, "shuffle_gap"),
            "share of accuracy lost when actions are swapped between branches",
        ),
        (
            "actions heard",
            figure(metrics, "actions_heard"),
            "share of actions that change the imagined future, the last included",
        ),
        (
            "ΔPSNR",
            figure(metrics, "delta_psnr"),
            "decibels between pictures imagined under true and under random actions",
        ),
        ("specificity", figure(metrics, "specificity", middle), "effect imagined where truly nothing differs"),
        ("contact F1", figure(metrics, "contact_f1", middle), "contact foreseen by the imagined touch"),
        ("agreement F1", figure(metrics, "agreement_f1"), "imagined touch against contact in the imagined picture"),
        ("valid for", figure(metrics, "valid_seconds"), "seconds until imagination is no better than the average"),
        (
            "spread over skill",
            figure(metrics, "spread_skill", middle),
            "spread of sampled futures over their error; 1 is right",
        ),
        ("80 % coverage", figure(metrics, "coverage_80"), "truths inside the 80 % interval"),
    ]
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd><b>{number(found)}</b> <span>{escape(about)}</span></dd></div>"
        for name, found, about in asked
        if found is not None
    )
    return f'<dl class="checks">{items}</dl>' if items else ""


def summary(chapter: Chapter) -> str:
    """One or two sentences on what the figures say."""
    metrics, middle = chapter.evaluation.metrics, chapter.middle
    said = []
    error = figure(metrics, "nce", middle)
    if error is not None:
        rivals = [
            f"{name} {rival:.2f}"
            for name, found in chapter.rivals().items()
            if (rival := figure(found, "nce", middle)) is not None
        ]
        beside = f" ({', '.join(rivals)})" if rivals else ""
        said.append(
            f"Asked what difference an action makes {_spoken(middle)} later, it errs by "
            f"<b>{error:.2f}</b>{beside}: 0 is perfect, 1 is blind to actions."
        )
    key = retrieval_key(metrics)
    share, count = figure(metrics, key, middle), key.rsplit("_", 1)[-1]
    if share is not None and count.isdecimal():
        said.append(
            f"Of {count} futures of one instant, <b>{share:.0%}</b> of those imagined lie nearest to their own truth; "
            f"chance is {1 / int(count):.0%}."
        )
    return " ".join(said)


def made(chapter: Chapter) -> str:
    """How it came about: commands, commit, date, machine, time."""
    found = chapter.evaluation
    suite = found.suite
    rows: list[tuple[str, str]] = [("commands", _commands([*chapter.commands, found.command]))]
    if found.train_seconds is not None:
        rows.append(("pretrained for", escape(duration(found.train_seconds))))
    if suite:
        parts = [f"{suite[key]} {key.replace('_', ' ')}" for key in ("snapshots", "alternatives") if key in suite]
        shares = [
            f"{float(suite[k]):.0%} {word}"
            for k, word in (("flip_share", "flips"), ("null_share", "nulls"))
            if suite.get(k)
        ]
        seed = [f"held-out scenes of seed {suite['seed']}"] if "seed" in suite else []
        rows.append(("suite", escape(", ".join(parts + shares + seed))))
    readout: Mapping[str, Any] = found.readout.get("r2") or {}
    if readout:
        quality = ", ".join(f"{group} {float(r2):.2f}" for group, r2 in readout.items() if r2 is not None)
        rows.append(("readout", escape(f"trained on true frames only, then frozen; R² {quality}")))
    rows += [
        ("machine", escape(_machine(found.machine))),
        ("commit", f"<code>{escape(found.commit)}</code>"),
        ("date", escape(spoken_date(found.date))),
    ]
    rows += [("note", escape(note)) for note in found.notes]
    return (
        '<dl class="made">'
        + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in rows if v not in ("", "<code></code>"))
        + "</dl>"
    )


def value(metrics: Mapping[str, Any], keys: tuple[str, ...]) -> float | None:
    """The figure under `keys`; for figures by event, their mean."""
    found: Any = metrics
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        numbers = [float(v) for v in found.values() if isinstance(v, (int, float))]
        return sum(numbers) / len(numbers) if numbers else None
    return float(found) if isinstance(found, (int, float)) else None


def number(found: float | None) -> str:
    """Two decimals, or a dash for what was not measured."""
    return "–" if found is None else f"{found:.2f}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def spoken_date(text: str) -> str:
    """An ISO date and time as people write it; other text as it is."""
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when.day} {when:%B %Y, %H:%M %Z}".strip()


def _range(chapter: Chapter, keys: tuple[str, ...]) -> str:
    low_high = interval(chapter, *keys)
    return "" if low_high is None else f"<small>{low_high[0]:.2f} to {low_high[1]:.2f}</small>"


def _table(head: str, rows: Sequence[str], kind: str = "figures") -> str:
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table class="{kind}">{body}</table></div>'


def _spoken(horizon: str) -> str:
    seconds = float(horizon or 0)
    return f"{seconds:g} second" + ("" if seconds == 1 else "s")


def _commands(commands: Sequence[str]) -> str:
    return "".join(f"<code>{escape(command)}</code>" for command in commands if command)


def _machine(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}".strip() for key, value in machine.items() if value not in (None, "", {}))
