"""Pretraining: a loop that any `Trainable` can be given to, and that can be killed at any moment.

`loop.Trainer` reads top to bottom; everything it uses is one file beside it. Nothing is imported here, so that
the command line can show its help without loading torch.
"""
