"""The vocabulary: small NNX modules over channels-last maps, one kind of layer a file."""
