"""Figures of merit: pure functions of stored predictions, each example counted once."""
