"""Losses: pure functions, one value per example; the caller reduces."""
