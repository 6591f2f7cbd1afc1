"""nextstate: world modelling, predicting the next physical state of a world under an action."""

__version__ = "0.1.0"
