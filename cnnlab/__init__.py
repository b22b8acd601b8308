"""Run experiments with convolutional networks: one YAML file in, a trained network and its tables out."""

__version__ = "0.1.0"
