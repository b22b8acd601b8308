"""Names as pictures write them."""

LONGEST_LABEL = 28  # characters


def short(name: str) -> str:
    """`name` on one line, its middle left out where it is long: names of a kind often differ at the end."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    half = LONGEST_LABEL // 2
    return line if len(line) <= LONGEST_LABEL else f"{line[: half - 1]}…{line[-half:]}"
