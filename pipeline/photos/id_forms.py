"""Id forms: what image ids look like, and the path of a file -> the ids that may mean it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage.names import normal


@dataclass(frozen=True)
class IdForms:
    """What the ids of some tables look like, so that no more is listed of a file than they may ask for.

    Args:
        depths: how many folders ids name: 0 for `001`, 1 for `a/001`.
        dotted: whether any holds a dot, and may end in a file's suffix.
    """

    depths: frozenset[int] = frozenset()
    dotted: bool = False

    def __or__(self, other: "IdForms") -> "IdForms":
        return IdForms(self.depths | other.depths, self.dotted or other.dotted)

    def ids_of(self, parts: list[str]) -> Iterator[str]:
        """List the ids of these forms that mean a file: its path from any part on, with and without suffix.

        Args:
            parts: the path of a picture; an id reaches back to the last part that no id may have.
        """
        safe = len(parts)
        while safe and parts[safe - 1] not in ("", ".", ".."):
            safe -= 1
        for depth in self.depths:
            if safe + depth >= len(parts):
                continue
            name = "/".join(parts[len(parts) - 1 - depth :])
            stem = name.rpartition(".")[0]
            yield from (normal(form) for form in ((stem, name) if self.dotted else (stem,)))


def forms_of(ids: pa.Array) -> IdForms:
    """Find the forms of a column of ids: strings."""
    text = bytes(ids.buffers()[2] or b"")  # of all, one after the other: in most tables it has neither mark
    slashes, dots = (mark in text for mark in (b"/", b"."))
    depths = pc.unique(pc.count_substring(ids, "/")).to_pylist() if slashes else [0]
    return IdForms(frozenset(depths), dots and bool(pc.any(pc.match_substring(ids, ".")).as_py()))
