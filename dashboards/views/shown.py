"""Shown: what is to be looked at: FiftyOne datasets, and where their pictures come from."""

from dataclasses import dataclass, field

from dashboards.app.media import Pictures
from dashboards.views.kept_pictures import Media


@dataclass
class Shown:
    """FiftyOne datasets, the one to look at first before the others, and all their pictures."""

    datasets: dict[str, str] = field(default_factory=dict)  # name -> what it shows
    sources: list[Pictures] = field(default_factory=list)

    def add(self, name: str, pictures: Pictures, what: str) -> None:
        """Add a dataset."""
        self.datasets[name] = what
        self.sources.append(pictures)

    def picture(self, name: str) -> Media | None:
        """Make the picture of a name; None: no such name."""
        made = (source.picture(name) for source in self.sources)
        return next((picture for picture in made if picture is not None), None)
