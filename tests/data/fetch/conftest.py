"""The web server of these tests."""

from collections.abc import Iterator

import pytest

from tests.data.fetch.site import Site, serve


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve() as served:
        yield served
