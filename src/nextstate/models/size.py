"""How large a world model is, and what it is made for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Sizes of a `StateModel`.

    Args:
        things: masks. gist: tokens for the scene as a whole. code: length of what is known of either.
        vision, drawing: channels of the eye and of the hand. carried, painted: channels of appearance.
        token: length of a token of the dynamics. layers: of it. message: length of what tokens tell each other.
        noise: length of a token's noise; 0 for one future only. temperature: scale of noise in sampled futures.
        angles: octaves of directions in which things tell where they lie of each other.
        silent: how it learns from episodes without commands, see `silent.WAYS`; latent: length of a latent action;
            shared: senses that such episodes have too; imputed: those they lack, told from what is seen;
            marked: whether commands that are told are taken otherwise than known ones; taught: whether latent actions
            are to tell the commands that are known.
        keen: whether things are outlined by finer differences of colour, by hue rather than by shade, and what is at
            the same place in every picture is no thing, see `nextstate.models.objectives.pixel`.
    """

    things: int = 10
    gist: int = 4
    code: int = 24
    vision: int = 32
    drawing: int = 48
    carried: int = 8
    painted: int = 24
    token: int = 128
    layers: int = 2
    message: int = 32
    noise: int = 4
    temperature: float = 1.0
    angles: int = 4
    silent: str = ""
    latent: int = 6
    shared: tuple[str, ...] = ()
    imputed: tuple[str, ...] = ()
    marked: bool = False
    taught: bool = False
    keen: bool = False

    def told(self, action_size: int) -> int:
        """Length of what dynamics is told of a command of `action_size` numbers."""
        if self.silent == "latent":
            return self.latent
        return 2 * action_size + 1 if self.silent == "labels" and self.marked else action_size
