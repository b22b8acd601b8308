"""Work that is begun ahead: in order, bounded, cancelled when nobody wants it."""

from hypothesis import given
from hypothesis import strategies as st

from cnnlab.data.memory import processors
from cnnlab.data.threads import ahead, pool


class Work:
    def __init__(self, item: int, log: list[str]):
        self.item, self.log = item, log
        log.append(f"begin {item}")

    def cancel(self) -> None:
        self.log.append(f"cancel {self.item}")


@given(count=st.integers(0, 12), depth=st.integers(0, 5))
def test_in_order_and_so_many_ahead(count, depth):
    log: list[str] = []
    for i, work in enumerate(ahead(lambda item: Work(item, log), range(count), depth)):
        assert work.item == i
        assert len(log) == min(count, i + 1 + depth)
    assert log == [f"begin {i}" for i in range(count)]


def test_what_was_begun_in_vain_is_cancelled():
    log: list[str] = []
    works = ahead(lambda item: Work(item, log), range(9), 2)
    assert next(works).item == 0
    del works
    assert log[3:] == ["cancel 1", "cancel 2"]


def test_one_pool_with_a_thread_for_each_processor():
    assert pool() is pool()
    assert pool()._max_workers == processors()
