"""What is wrong with data, found before training: bad files, targets that cannot be, duplicates and leakage."""
