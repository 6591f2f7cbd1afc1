"""What earlier runs of the study of language found, for whoever takes no part in this one."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nextstate.errors import SettingsError

APART = ("still", "random", "scripted", "cloned", "bc")
"""Ways to act that are neither a world model's nor a rival's."""


@dataclass
class Earlier:
    """Rows that are taken over.

    Args:
        answers: who -> kind -> shares of right answers. control: way, or way and condition -> rates.
        counts: of questions by kind. curves: of learning. ledger: parameters by owner, of each model.
        sources: where rows are from: command, commit, date, and whose they are.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    control: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def read(known: Path | None, followed: Sequence[Path], answers: Container[str], control: Container[str]) -> Earlier:
        """From results of the study, and of `nextstate follow`, which go before those.

        Args:
            answers, control: whose rows are there already.

        Raises:
            SettingsError: for a file that is no such result.
        """
        found = Earlier()
        for path in followed:
            rows = _json(path, "ways")
            mine = {way: row for way, row in rows["ways"].items() if way not in control and way not in found.control}
            found.control |= mine
            found._note(rows, mine)
        if known is not None:
            rows = _json(known, "answers", "control", "curves", "ledger")
            acted = {n: row for n, row in rows["control"].items() if n not in control and n not in found.control}
            # Rates of one way under several conditions are compared, so all of them must be of the same run.
            fresh = {name.partition(",")[0] for name in found.control}
            acted = {name: row for name, row in acted.items() if name.partition(",")[0] not in fresh}
            told = {who: row for who, row in rows["answers"]["ways"].items() if who not in answers}
            found.control, found.answers = acted | found.control, told
            found.counts, found.curves = rows["answers"].get("counts", {}), rows["curves"]
            found.ledger = rows["ledger"]
            found._note(rows, [*told, *acted])
            found.sources += rows.get("taken_over", [])
        return found

    @property
    def milliseconds(self) -> dict[str, float]:
        """Way -> of one decision, where it was measured."""
        return {way: row["milliseconds"] for way, row in self.control.items() if "," not in way and row["milliseconds"]}

    @property
    def vlas(self) -> list[str]:
        """Rivals that act."""
        return [way for way in self._ways() if way.startswith("vla")]

    @property
    def ours(self) -> list[str]:
        """A world model's ways."""
        return [way for way in self._ways() if not way.startswith("vla") and way not in APART]

    def _ways(self) -> list[str]:
        return [way for way in self.control if "," not in way and "@" not in way]

    def _note(self, rows: Mapping[str, Any], whose: Sequence[str] | Mapping[str, Any]) -> None:
        told = {name: rows.get(name) for name in ("command", "commit", "date")}
        self.sources.append({**told, "rows": sorted({name.partition(",")[0] for name in whose})})


def _json(path: Path, *parts: str) -> dict[str, Any]:
    try:
        rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if any(part not in rows for part in parts):
            raise ValueError(f"it has no {', '.join(part for part in parts if part not in rows)}")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: not a result that could be taken over ({error}); give what `nextstate study language` or "
            "`nextstate follow` wrote."
        ) from error
    return rows
