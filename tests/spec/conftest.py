"""What the tests of specs share."""

import pytest

from cnnlab.errors import SpecError
from cnnlab.spec.load import parse


@pytest.fixture
def refused():
    """text, overrides -> the whole message with which the spec is refused."""

    def message(text, *overrides):
        with pytest.raises(SpecError) as caught:
            parse(text, "spec.yaml", list(overrides))
        return str(caught.value)

    return message


@pytest.fixture
def refused_at(refused):
    """text with one ^ -> the only error's sentence, which must start with the position of the character after ^."""

    def sentence(text):
        before, after = text.split("^")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = refused(before + after)
        assert message.startswith(f"spec.yaml:{line}:{column}: ")
        assert "\n" not in message
        return message.partition(": ")[2]

    return sentence
