"""Once: how to load weights -> the weights, loaded at the first call. Imports no torch."""

from collections.abc import Callable
from typing import Generic, TypeVar

Loaded = TypeVar("Loaded")


class Once(Generic[Loaded]):
    """Loads at the first call. What loading raises is raised again by each further call, without another try: a method
    whose weights are damaged fails its cases one after the other, and need not read gigabytes for each.
    """

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._loaded: list[Loaded] = []
        self._fault: Exception | None = None

    def __call__(self) -> Loaded:
        """Return what was loaded.

        Raises:
            Exception: what loading raises, or has raised.
        """
        if self._fault:
            raise self._fault.with_traceback(None)
        if not self._loaded:
            try:
                self._loaded.append(self._load())
            except Exception as error:
                self._fault = error
                raise
        return self._loaded[0]

    def drop(self) -> None:
        """Let go of what was loaded, so that its memory is free for the next method."""
        self._loaded.clear()
        self._fault = None
