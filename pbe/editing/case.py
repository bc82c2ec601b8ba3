"""Case: one picture to edit: source, mask or box, exemplar, output."""

from dataclasses import dataclass, field
from urllib.parse import quote

from pipeline.storage.urls import is_chain, is_web, scheme_of


@dataclass(frozen=True)
class Case:
    """One source, mask and exemplar, and where its pictures go."""

    name: str
    """Of the files, without suffix."""
    source: str
    exemplar: str
    mask: str = ""
    box: str = ""
    table: str = ""
    """The CSV, or another file in its place, to which paths are relative."""
    guidance: tuple[float, ...] = field(default=(5.0,))
    seeds: tuple[int, ...] = field(default=(0,))
    ground_truth: str = ""
    """What the source's hole showed, or should show; only evaluation reads it."""
    label: str = ""
    """Of the exemplar's object: a class or a few words; only evaluation reads it."""
    exemplar_mask: str = ""
    """White where the exemplar shows the object; only evaluation reads it."""

    @property
    def pictures(self) -> int:
        return len(self.guidance) * len(self.seeds)

    @property
    def inputs(self) -> dict[str, str]:
        """Paths of its pictures, by what they are."""
        return self._places({"source": self.source, "mask": self.mask, "exemplar": self.exemplar})

    @property
    def evaluated(self) -> dict[str, str]:
        """Paths of the pictures that an edit does without, by what they are: only evaluation reads them."""
        return self._places({"ground truth": self.ground_truth, "exemplar mask": self.exemplar_mask})

    def file(self, scale: float, seed: int, suffix: str) -> str:
        """Return the name of a picture's file."""
        if self.pictures == 1:
            return f"{self.name}{suffix}"
        return f"{self.name}-g{scale:g}-s{seed}{suffix}"

    def _places(self, paths: dict[str, str]) -> dict[str, str]:
        return {what: _beside(self.table, path) for what, path in paths.items() if path}


def _beside(table: str, path: str) -> str:
    """Resolve a path relative to the table's folder: a name there, and no `~`, pattern or percent-code."""
    if not table or path.startswith("/") or scheme_of(path) or is_chain(path):
        return path
    folder, slash, _ = table.rpartition("/")
    return f"{folder if slash else '.'}/{quote(path) if is_web(table) else path}"
