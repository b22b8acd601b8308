"""The run directory: what a training run leaves behind, and how it is found again."""
