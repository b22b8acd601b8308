"""A model as equations: every primitive operation with the layer that it belongs to, from shapes alone."""
