"""Weights between programs: names, layouts, files and the preprocessing that belongs to them."""
