"""Reaching packages that hold original environments, without what else they would load."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from nextstate.errors import MissingExtraError


def outside(module: str, extra: str, missing: str = "") -> ModuleType:
    """An outside module; raises `MissingExtraError` naming the extra that brings it.

    Args:
        missing: how to install it where the extra alone does not.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(module.partition(".")[0], extra, str(error), missing) from error


def part_of(module: str, extra: str, missing: str = "") -> ModuleType:
    """A module of a package of which nothing else is run: the rest may ask for much that the module does without.

    Packages above it that are loaded already are used as they are.
    """
    parts = module.split(".")
    for depth in range(1, len(parts)):
        name = ".".join(parts[:depth])
        if name in sys.modules:
            continue
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None or found.submodule_search_locations is None:
            raise MissingExtraError(parts[0], extra, f"{name} is not installed", missing)
        bare = ModuleType(name)
        bare.__path__ = list(found.submodule_search_locations)
        bare.__spec__ = found
        sys.modules[name] = bare
        if depth > 1:
            setattr(sys.modules[".".join(parts[: depth - 1])], parts[depth - 1], bare)
    return outside(module, extra, missing)
