"""The report: complete, self-contained, and fit for a phone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextstate.commands.report import main
from nextstate.errors import DatasetError
from nextstate.evaluation.results import Evaluation, Showcase, arrays_path
from nextstate.imagination.instant import reach
from nextstate.imagination.plans import plan
from nextstate.reports import Chapter, charts, read_chapter, write_report
from nextstate.reports.scenes import choose_scenes
from nextstate.reports.svg import apart, round_ticks
from nextstate.worlds import HELD_OUT_SEED, make_world

HORIZON = 8


def some_showcase(world_name: str, plans: list[str], snapshots: int = 2, horizon: int = HORIZON) -> Showcase:
    """True branches, beside an imagination that lags one step behind, and loses colour."""
    world = make_world(world_name)
    instants = [reach(world, HELD_OUT_SEED + seed, 2) for seed in range(snapshots)]
    snapshots_taken = [instant.snapshot for instant in instants if instant.snapshot is not None]
    actions = [np.stack([plan(world, snapshot, text, horizon) for text in plans]) for snapshot in snapshots_taken]
    grown = [world.branch(snapshot, commands) for snapshot, commands in zip(snapshots_taken, actions, strict=True)]
    truth = {name: np.stack([branches.states[name] for branches in grown]) for name in world.modalities}
    imagined = {
        name: np.concatenate([values[:, :, :1], values[:, :, :-1]], axis=2) * 0.9 for name, values in truth.items()
    }
    events = np.stack([branches.events for branches in grown])
    outcomes = np.stack([branches.outcomes for branches in grown])
    return Showcase(
        rows=np.arange(snapshots),
        actions=np.stack(actions),
        last={name: np.stack([instant.now(name) for instant in instants]) for name in world.modalities},
        truth=truth,
        imagined={name: values.astype(truth[name].dtype) for name, values in imagined.items()},
        events=events,
        event_probability=0.1 + 0.8 * np.concatenate([events[:, :, :1], events[:, :, :-1]], axis=2),
        outcomes=outcomes,
        imagined_outcomes=outcomes,
    )


def some_metrics(error: float, events: tuple[str, ...] = ("contact", "moved")) -> dict[str, Any]:
    """Figures of the documented shape around one level of error."""
    seconds = [round(0.1 * (step + 1), 1) for step in range(20)]
    rising = [min(error * (0.5 + 0.04 * step), 4.0) for step in range(20)]
    at_horizons = {"0.5": rising[4], "1.0": rising[9], "2.0": rising[19]}
    return {
        "nce": at_horizons,
        "slope": {horizon: max(0.0, 1 - value) for horizon, value in at_horizons.items()},
        "retrieval_at_8": {horizon: max(0.125, 1 - value) for horizon, value in at_horizons.items()},
        "groups": {"objects": {"nce": at_horizons}, "body": {"nce": {h: v / 3 for h, v in at_horizons.items()}}},
        "flips": {event: max(0.5, 1 - error / 2) for event in events},
        "brier": dict.fromkeys(events, error / 4),
        "ece": dict.fromkeys(events, error / 8),
        "event_time_error": dict.fromkeys(events),
        "shuffle_gap": max(0.0, 1 - error),
        "coverage_80": 0.77,
        "curves": {"seconds": seconds, "nce": rising, "drift": rising, "chaos_floor": [0.002 * i for i in range(20)]},
        "calibration": {
            "events": {event: [[0.1, 0.05, 40], [0.5, 0.62, 12], [0.9, 0.85, 30]] for event in events},
            "coverage": [[0.5, 0.46], [0.8, 0.77], [0.95, 0.9]],
        },
    }


def some_evaluation(world: str = "push", events: tuple[str, ...] = ("contact", "moved")) -> Evaluation:
    errors = {"oracle": 0.0, "gain_0.8": 0.055, "wrong_physics": 0.2, "copy_last": 1.4, "action_blind": 1.4}
    errors |= {"climatology": 1.4, "shuffled": 2.6, "reversed": 4.6}
    return Evaluation(
        world=world,
        model=f"runs/{world}",
        metrics=some_metrics(0.5, events),
        intervals={"nce": {"0.5": [0.28, 0.41], "1.0": [0.36, 0.51], "2.0": [0.5, 0.8]}},
        baselines={name: some_metrics(error, events) for name, error in errors.items()},
        suite={"snapshots": 40, "alternatives": 8, "horizon": 20, "seed": 0, "flip_share": 0.34},
        readout={"r2": {"objects": 0.97}},
        command=f"nextstate evaluate --model runs/{world} --out results/{world}.json",
        commit="0123abc",
        date="2026-11-23T04:00:00+00:00",
        machine={"processor": "x86_64", "cores": 2, "memory_gb": 24},
        train_seconds=251.0,
        notes=["A note with <angle brackets> & an ampersand."],
    )


@pytest.fixture(scope="module")
def showcase() -> Showcase:
    return some_showcase("push", ["explore:1", "explore:2", "explore:3", "zero"])


@pytest.fixture(scope="module")
def page(showcase: Showcase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chapter = Chapter(
        some_evaluation(), showcase, {"vision": 3_000_000, "dynamics": 2_000_000, "touch": 9_000}, ["nextstate record"]
    )
    return write_report([chapter, replace(chapter, showcase=None)], tmp_path_factory.mktemp("report"))


def test_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href|url\()\s*=?\s*["'(]?\s*(?:https?:|//|file:)""", text)
    assert set(re.findall(r'src="([a-z]+):', text)) == {"data"}
    assert '<link rel="stylesheet"' not in text and "@import" not in text
    assert "<angle brackets>" not in text
    assert len(text) < 4_000_000


def test_page_says_what_was_measured(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for words in ("copy-last", "action-blind", "oracle", "0.36 to 0.51", "4 min 11 s", "held-out scenes", "vision"):
        assert words in text, words
    assert len(re.findall("<canvas", text)) >= 2 * 3 * 4
    assert len(re.findall('<canvas[^>]*aria-label="[^"]+"', text)) == len(re.findall("<canvas", text))


def test_json_holds_the_same_figures(page: Path) -> None:
    found = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    first = found["chapters"][0]
    assert first["metrics"]["nce"] == json.loads(some_evaluation().to_json())["metrics"]["nce"]
    branch = first["scenes"][0]["branches"][0]
    assert len(branch["series"]["command"]["truth"]) == HORIZON + 1
    assert {"truth", "imagined"} == set(branch["series"]["touch (N)"])


def test_scenes_are_chosen_by_the_truth_alone(showcase: Showcase) -> None:
    chapter = Chapter(some_evaluation(), showcase)
    spoilt = replace(showcase, imagined={n: np.zeros_like(v) for n, v in showcase.imagined.items()})
    rows = [scene.row for scene in choose_scenes(chapter)]
    assert rows == [scene.row for scene in choose_scenes(replace(chapter, showcase=spoilt))]


def test_report_survives_what_was_not_measured(tmp_path: Path) -> None:
    bare = Evaluation(world="elsewhere", model="m", metrics={"nce": {"1.0": None}, "curves": {"seconds": [0.1]}})
    assert "elsewhere" in write_report([Chapter(bare)], tmp_path).read_text(encoding="utf-8").lower()


def test_chapters_quote_only_their_own_commands(tmp_path: Path) -> None:
    commands = ["nextstate record --world push", "nextstate pretrain --data demo/spill/data", "make demo"]
    chapters = [Chapter(some_evaluation(world), commands=commands) for world in ("push", "spill")]
    write_report(chapters, tmp_path)
    push, spill = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["chapters"]
    assert push["commands"] == [commands[0], commands[2]] and spill["commands"] == commands[1:]


def test_report_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nothing to report"):
        write_report([], tmp_path)
    with pytest.raises(DatasetError, match="not a saved evaluation"):
        read_chapter(tmp_path / "absent.json")


def test_command_reads_evaluations_and_writes_the_page(
    showcase: Showcase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "push.json"
    some_evaluation().save(results)
    showcase.save(arrays_path(results))
    assert main([str(results), "--out", str(tmp_path / "out")]) == 0
    assert str(tmp_path / "out" / "report.html") in capsys.readouterr().out.replace("\n", "")
    assert "<canvas" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_ticks_are_round_numbers() -> None:
    assert round_ticks(0.97) == (0.0, 0.2, 0.4, 0.6, 0.8)
    assert round_ticks(1.1) == (0.0, 0.5, 1.0)
    assert round_ticks(0.002) == (0.0, 0.0005, 0.001, 0.0015, 0.002)


def test_labels_are_moved_apart_but_not_below_the_axis() -> None:
    assert apart([1.0, 2.0, 30.0], 10.0, 30.0) == [1.0, 11.0, 30.0]
    assert apart([28.0, 29.0], 10.0, 30.0) == [20.0, 30.0]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

PROBE = """<script>
addEventListener("error", (event) => (window.failed = event.message));
addEventListener("load", () => setTimeout(() => {
  const drawn = [...document.querySelectorAll("canvas")].filter((canvas) => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.some((value) => value);
  }).length;
  document.title = JSON.stringify({
    failed: window.failed || null, drawn, canvases: document.querySelectorAll("canvas[data-kind=truth]").length,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    width: document.documentElement.clientWidth,
    fetched: performance.getEntriesByType("resource").map((entry) => entry.name).filter((n) => !n.startsWith("data:")),
  });
}, 1500));
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_page_in_a_browser(page: Path, tmp_path: Path, width: int) -> None:
    """No script errors, nothing fetched, every clip drawn, and no sideways scrolling."""
    inner = tmp_path / "page.html"
    inner.write_text(page.read_text(encoding="utf-8").replace("<head>", "<head>" + PROBE, 1), encoding="utf-8")
    # Chromium's own window is never narrower than 500 pixels: a frame stands in for the phone.
    outer = tmp_path / "frame.html"
    outer.write_text(
        f'<!doctype html><iframe src="page.html" width="{width}" height="900" style="border:0"></iframe>'
        "<script>setInterval(() => { document.title = frames[0].document.title; }, 100);</script>"
    )
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000"]
    command += ["--hide-scrollbars", "--virtual-time-budget=4000", "--dump-dom", outer.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    title = re.search(r"<title>(\{.*?\})</title>", shown.stdout)
    assert title, f"the page never answered: {shown.stdout[-500:]} {shown.stderr[-500:]}"
    found = json.loads(title[1].replace("&quot;", '"').replace("&amp;", "&"))
    assert found["failed"] is None
    assert found["width"] == width and found["overflow"] <= 0
    assert found["drawn"] >= found["canvases"] > 0
    assert found["fetched"] == []


@given(st.lists(st.floats(16, 344), min_size=2, max_size=8), st.sampled_from([360.0, 720.0]))
def test_names_on_the_ladder_never_run_into_each_other(places: list[float], width: float) -> None:
    names = ["the model", "oracle", "wrong-physics", "gain-0.8", "copy-last", "action-blind", "shuffled", "reversed"]
    found = [(place, name, 0.0) for place, name in zip(sorted(places), names, strict=False)]
    written: dict[str, list[tuple[float, float]]] = {}
    for mark in charts._ladder_labels(found, "the model", 78.0, width):
        x, y, anchor, name = re.findall(r'x="([\d.-]+)" y="([\d.-]+)" text-anchor="(\w+)">([^<]+)<', mark)[0]
        length = 6.5 * len(name)
        low = float(x) - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
        written.setdefault(y, []).append((low, low + length))
    assert sum(map(len, written.values())) == len(found)
    for extents in written.values():
        extents.sort()
        assert all(one[1] <= other[0] for one, other in pairwise(extents))
