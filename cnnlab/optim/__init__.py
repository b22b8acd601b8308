"""Optimizers and schedules: the spec as an Optax transformation."""
