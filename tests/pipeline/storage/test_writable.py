"""Places that cannot be written to are refused before any work is done."""

import os

import pytest

from pipeline.errors import InputError
from pipeline.storage.writable import refuse_unwritable
from tests.conftest import SmallDisk


def test_a_full_disk_is_refused_and_one_with_room_is_not(small_disk: SmallDisk) -> None:
    disk, _ = small_disk
    refuse_unwritable("--out x", disk / "new" / "folder")
    (disk / "file").write_bytes(os.urandom((2 << 20) - (1 << 15)))
    with pytest.raises(InputError, match=f"^--out x: the disk of {disk} is full .*; make room or give another$"):
        refuse_unwritable("--out x", disk / "new" / "folder")
