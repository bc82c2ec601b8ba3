"""Places for pictures: what cannot be written there is found out before there is anything to write."""

import fsspec
import pytest

from pbe.editing.outputs import Outputs
from pipeline.errors import InputError
from pipeline.storage.folder import Folder


def test_remote_storage_that_takes_no_file_is_refused_and_one_that_does_is_left_as_it_was() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/edits/a file", b"x")
    Outputs(Folder("memory://edits"), "edited", ".png").try_writing()
    assert memory.find("/edits") == ["/edits/a file"]
    with pytest.raises(InputError, match=r"^--out memory://edits/a file: cannot be written to \(FileExistsError"):
        Outputs(Folder("memory://edits/a file"), "edited", ".png").try_writing()
    memory.rm("/edits", recursive=True)
