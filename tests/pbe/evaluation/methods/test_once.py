import pytest

from pbe.evaluation.methods.once import Once


def test_weights_are_loaded_once_and_again_after_they_were_dropped() -> None:
    loads: list[int] = []
    once = Once(lambda: loads.append(1) or len(loads))  # type: ignore[func-returns-value]
    assert (once(), once()) == (1, 1)
    once.drop()
    assert once() == 2


def test_what_failed_to_load_fails_again_without_another_try() -> None:
    tries: list[int] = []

    def load() -> None:
        tries.append(1)
        raise OSError("torn")

    once = Once(load)
    for _ in range(3):
        with pytest.raises(OSError, match="torn"):
            once()
    assert len(tries) == 1
