"""The kernels are used by the tests of this room alone: whatever else a test process runs stays with XLA."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cnnlab import kernels


@pytest.fixture(scope="session")
def enabled() -> Iterator[kernels.Status]:
    status = kernels.enable()
    with ExitStack() as stack:
        if status.in_use:
            from cnnlab.kernels import lowering

            stack.enter_context(lowering.switched(False))
        yield status


@pytest.fixture
def in_use(enabled: kernels.Status) -> Iterator[None]:
    """Convolutions that the test lowers are the kernels'; skips where there are none."""
    if not enabled.in_use:
        pytest.skip(enabled.why)
    from cnnlab.kernels import lowering

    with lowering.switched(True):
        yield
