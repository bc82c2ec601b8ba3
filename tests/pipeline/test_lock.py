import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.lock import locked
from pipeline.storage import Folder

HOLD = """
import sys, time
from pipeline.lock import locked
from pipeline.storage import Folder
with locked(Folder(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_job_is_refused_naming_the_first_and_death_releases_the_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with (
        pytest.raises(InputError, match=f'another job is writing it .*"pid": {holder.pid}'),
        locked(Folder(str(tmp_path))),
    ):
        pass
    holder.kill()
    holder.wait()
    with locked(Folder(str(tmp_path))):
        pass


def test_an_output_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"), locked(Folder(str(tmp_path / "file"))):
        pass
