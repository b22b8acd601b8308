"""The tests of this room say which convolution they want; all others have what a user has."""

import pytest

from cnnlab import kernels


@pytest.fixture(scope="session")
def enabled() -> kernels.Status:
    return kernels.enable()


@pytest.fixture
def in_use(enabled: kernels.Status) -> None:
    """Skips where there are no kernels."""
    if not enabled.in_use:
        pytest.skip(enabled.why)
