"""Earlier draws: the finished draws of a unit -> which photos they lost and which they hold, for its other draws.

All draws of a unit are of the same photos. A photo that one draw lost stays lost in later ones, or a dataset would
count its boxes twice and hold a photo in some draws only; `--retry-drops` makes all draws anew. A photo that one draw
holds must be there for the others, with the same bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.errors import InputError, PhotoError
from pipeline.shards.records import read_record
from pipeline.storage.folder import Folder
from pipeline.storage.tables import table_from
from schemas.drops import DROPS
from schemas.shards import unit_name

OTHER_BYTES = "other bytes"


@dataclass(frozen=True)
class EarlierDraws:
    """What the finished draws of a unit say of its photos.

    Args:
        draws: which are finished.
        lost: photos that one of them lost, with the reason.
        sha256: `photo_sha256` of the photos that gave one of them a sample.
    """

    unit: int
    draws: tuple[int, ...] = ()
    lost: dict[str, PhotoError] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    def refuse_change(self, image_id: str, *, sha256: str, lost: PhotoError | None) -> None:
        """Refuse a photo that the finished draws hold, and that is not as it was any more.

        Args:
            sha256: its `photo_sha256` now; empty where it is lost.
            lost: why it is lost now.

        Raises:
            InputError: naming the photo, and what to do.
        """
        if not self.draws or image_id in self.lost:
            return
        if lost or self.sha256.get(image_id, sha256) != sha256:
            raise InputError(
                f"photo {image_id} is not what it was ({lost or OTHER_BYTES}), and finished draws of its unit hold it; "
                f"put it back and run again, or remove units/{unit_name(self.unit, 0)[:-2]}*.json first to make all "
                "its draws anew"
            )


def read_earlier(out: Folder, unit: int, draws: Iterable[int]) -> EarlierDraws:
    """Read what finished draws say.

    Args:
        draws: that have a record; others are passed over.
    """
    found = [record for draw in draws if (record := read_record(out, unit, draw))]
    lost: dict[str, PhotoError] = {}
    sha256: dict[str, str] = {}
    for record in found:
        for drop in _rows(out, record.drops.name, DROPS.names):
            if drop["stage"] == "photo":
                lost[drop["image_id"]] = PhotoError(drop["reason"], drop["detail"])
        if record.index:
            rows = _rows(out, record.index.name, ["image_id", "photo_sha256"])
            sha256 |= {row["image_id"]: row["photo_sha256"] for row in rows}
    return EarlierDraws(unit, tuple(record.draw for record in found), lost, sha256)


def _rows(out: Folder, name: str, columns: list[str]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = table_from(out.read(name), columns).to_pylist()
    return rows
