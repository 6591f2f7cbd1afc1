"""``nextstate study QUESTION``: settle an open question by experiment."""

from __future__ import annotations

from importlib import import_module

STUDIES = {
    "decoding": "how motor commands should be decoded, even from a perfect future",
    "honesty": "whether what is imagined can be trusted when one acts on it",
    "thoughts": "whether it helps to think in branches, in puzzles, against a flat search at equal compute",
    "objective": "what pretraining should minimise: pixels, latents, or a flow over futures",
    "data": "how much robot data, of what kind, and whether video without commands can stand in for it",
    "actions": "whether what a model infers from silent episodes are the commands",
    "language": "whether language-first models know what things are, and not what happens to them",
}
"""Question -> what it asks. A new one is a line here and a file ``study_<question>.py`` beside this one."""


def main(argv: list[str]) -> int:
    from nextstate.errors import UnknownNameError

    if not argv or argv[0] in ("-h", "--help"):
        lines = [f"  {name:<12}{about}" for name, about in STUDIES.items()]
        print("usage: nextstate study QUESTION [OPTIONS]\n\n" + "\n".join(lines))
        print("\n`nextstate study QUESTION --help` tells the options of each.")
        return 0
    if argv[0] not in STUDIES:
        raise UnknownNameError("question", argv[0], STUDIES)
    status: int = import_module(f"nextstate.commands.study_{argv[0]}").run(argv[1:])
    return status
