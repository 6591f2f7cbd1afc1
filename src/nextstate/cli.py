"""The command line: one verb a file in `nextstate.commands`; only the one that was asked for is imported."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

COMMANDS = {
    "demo": "record, pretrain, evaluate and report, in a quarter of an hour",
    "worlds": "list the worlds, or draw one",
    "record": "record episodes from a world into a LeRobot v3 dataset",
    "data": "info, check, convert or merge datasets",
    "pretrain": "pretrain a world model on a dataset",
    "evaluate": "measure a model's what-ifs against the true simulator",
    "calibrate": "set how sure a model is by what truly comes of other actions",
    "report": "write the HTML report of evaluations",
    "imagine": "a what-if from the shell: truth beside imagination",
    "plan": "reach a goal by imagining, acting, and looking again",
    "guide": "learn how far it is to a goal, and how to get there",
    "direct": "learn to act out instructions in imagination",
    "say": "does what is said happen in the imagined future?",
    "act": "compare ways of acting on the same tasks",
    "follow": "compare ways of following instructions",
    "study": "settle an open question by experiment",
    "ledger": "who owns the parameters of a model",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``nextstate VERB ...``; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if arguments[0] == "--version":
        from nextstate import __version__

        print(f"nextstate {__version__}")
        return 0
    verb, rest = arguments[0], arguments[1:]
    from nextstate.errors import NextstateError, UnknownNameError

    try:
        if verb not in COMMANDS:
            raise UnknownNameError("command", verb, COMMANDS)
        command = importlib.import_module(f"nextstate.commands.{verb}")
        try:
            return int(command.main(rest) or 0)
        finally:
            sys.stdout.flush()
    except NextstateError as error:
        print(f"nextstate {verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nnextstate {verb}: interrupted; what was finished is kept.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # Whoever reads along, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # Such as a file where a folder should be: the system says which.
        if error.filename is None:
            raise
        print(f"nextstate {verb}: {error}; give another path, or make it usable.", file=sys.stderr)
        return 2


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: nextstate COMMAND [options]   (each has --help)", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
