"""Silent episodes for ``nextstate pretrain``: which they are, and whether they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nextstate.errors import DatasetError, SettingsError

if TYPE_CHECKING:
    from nextstate.commands.pretrain import Config
    from nextstate.data import Cache, Windows
    from nextstate.data.mixed import Mixed
    from nextstate.models import WorldModelSpec


def way_of(config: Config) -> str:
    """How the run learns from silent episodes, if it does."""
    return config.silent_by or ("labels" if config.silent else "")


def check_options(config: Config, cache: Cache) -> None:
    """Raises `SettingsError` or `DatasetError` where options and data do not go together."""
    from nextstate.data.parts import require_commands

    if not config.silent and (config.silent_episodes or config.silent_modalities):
        raise SettingsError("--silent-episodes and --silent-modalities say which part of --silent; give that too.")
    if way_of(config) == "labels" and not config.silent:
        raise SettingsError("--silent-by labels writes commands to silent episodes; say which with --silent.")
    if way_of(config) and config.policy:
        raise SettingsError(
            "--policy learns from what was done, which silent episodes do not tell; leave out --silent."
        )
    if way_of(config) != "latent" or config.silent:
        require_commands(cache, config.data, "pretraining")


def open_silent(config: Config, cache: Cache) -> Cache | None:
    """The silent episodes asked for, in the rate of the labelled ones; raises `DatasetError`."""
    from nextstate.commands.progress import bar
    from nextstate.data import open_cache
    from nextstate.data.footage import is_footage
    from nextstate.data.parts import parse_episodes, part_of, silenced

    if config.silent is None:
        return None
    # Datasets recorded here know their size, and their arrays are there already.
    given = {"size": side_of(cache), "hz": cache.hz} if is_footage(config.silent) else {}
    with bar("reading silent episodes", "files") as progress:
        found = open_cache(config.silent, None, config.on_damage, progress=progress, **given)  # type: ignore[arg-type]
    if config.silent_episodes:
        found = part_of(found, *parse_episodes(config.silent_episodes))
    if abs(found.hz - cache.hz) > 1e-6:
        raise DatasetError(
            f"{config.silent} has {found.hz:g} states a second and {config.data} {cache.hz:g}; bring both to one rate "
            "(videos in a folder are resampled)."
        )
    kept = config.silent_modalities or tuple(found.state_spec)
    return silenced(found, kept)


def side_of(cache: Cache) -> int | None:
    """Height and width of its pictures."""
    return next((int(m.shape[0]) for m in cache.state_spec.values() if m.kind == "image"), None)


def shared_senses(cache: Cache, silent: Cache | None) -> list[str]:
    """Senses of the body that silent episodes have too."""
    return [name for name in _felt(cache) if silent is None or name in silent.state_spec]


def silent_options(config: Config, cache: Cache, silent: Cache | None) -> dict[str, Any]:
    """Options of a model that learns from silent episodes.

    A run that began before senses were imputed, told commands marked and latent actions taught goes on without.
    """
    from nextstate.training.run import options_of_run

    way, shared, begun = way_of(config), shared_senses(cache, silent), options_of_run(config.out)
    newer = {
        "imputed": [name for name in _felt(cache) if name not in shared],
        "marked": way == "labels",
        "taught": way == "latent" and silent is not None and cache.action_size > 0,
    }
    kept = {name: value for name, value in newer.items() if value and (begun is None or name in begun)}
    return {"silent": way, "shared": shared, **kept}


def mixed(config: Config, labelled: Windows, silent: Cache, spec: WorldModelSpec) -> Mixed:
    """Windows of both."""
    from nextstate.data import Windows
    from nextstate.data.mixed import Mixed, check_shared

    check_shared(silent.state_spec, spec.modalities, str(config.silent))
    names = [n for n in spec.modalities if n in silent.state_spec]
    windows = Windows(silent, labelled.length, "train", config.training.seed, names)
    return Mixed(labelled, windows, config.labelled_share, spec.modalities)


def noted(config: Config, silent: Cache | None) -> dict[str, Any]:
    """What of it decides what is learned, as JSON; nothing of a run without silent episodes."""
    found: dict[str, Any] = {}
    if config.episodes:
        found["episodes"] = config.episodes
    if config.labelled_share == 0:
        found["labelled_share"] = 0
    if config.stages:
        found["stages"] = list(config.stages)
    if silent is not None:
        found["silent"] = {
            "fingerprint": silent.fingerprint,
            "episodes": config.silent_episodes,
            "modalities": list(silent.state_spec),
            "labelled_share": config.labelled_share,
        }
    return found


def _felt(cache: Cache) -> list[str]:
    return [name for name, kind in cache.state_spec.items() if kind.kind == "vector"]
