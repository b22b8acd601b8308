"""What to learn: for each task its loss, its sums over an epoch, and what a prediction looks like."""
