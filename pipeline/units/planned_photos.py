"""Planned photos: a photo of the plan -> its bytes -> its pixels, upright. Imports no network."""

from pipeline.config import ShardConfig
from pipeline.decoding.decode import Photo, decode_photo
from pipeline.photos.store import PhotoStore
from pipeline.planning.tasks import PlannedPhoto


def fetch_planned(store: PhotoStore, photo: PlannedPhoto) -> bytes:
    """Read a photo's bytes from where the plan found it.

    Raises:
        PhotoError: it is lost.
        OSError: storage failed for a passing cause, after all retries.
    """
    return store.fetch(photo.image_id, archive=photo.archive, offset=photo.archive_offset, size=photo.archive_size)


def decode_planned(data: bytes, photo: PlannedPhoto, config: ShardConfig) -> Photo:
    """Decode a photo's bytes.

    Raises:
        PhotoError: it is lost.
    """
    return decode_photo(
        data,
        rotation=photo.rotation,
        boxes_frame=config.boxes_frame,
        max_pixels=int(config.max_photo_megapixels * 1e6),
        min_px=config.min_photo_px,
    )
