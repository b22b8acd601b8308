"""Losses: pure functions, one value per example; the caller reduces."""

from cnnlab.losses.classification import cross_entropy

__all__ = ["cross_entropy"]
