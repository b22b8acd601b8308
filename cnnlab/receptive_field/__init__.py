"""What every unit of a network can see of its input: exact, by interpreting the model's equations."""
