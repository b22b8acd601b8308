"""Training: one pytree of state, free functions over it, and a dull loop."""
