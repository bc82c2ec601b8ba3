import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.storage.file_locks import lock_file
from pipeline.storage.whole_files import file_aside, folder_aside, remove_folder, write_aside

HOLD = """
import sys, time
from pathlib import Path
from pipeline.storage.file_locks import lock_file
file = Path(sys.argv[1]).open("w")
print(lock_file(file), flush=True)
time.sleep(60)
"""


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_aside(path, b"one")
    with pytest.raises(OSError, match="no space"), file_aside(path) as aside:
        aside.write_bytes(b"tw")
        raise OSError("no space")
    assert path.read_bytes() == b"one"
    write_aside(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


def test_several_writers_of_one_file_do_not_share_what_is_unfinished(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with file_aside(path, writer="1") as first, file_aside(path, writer="2") as second:
        first.write_bytes(b"first")
        second.write_bytes(b"second")
    assert path.read_bytes() == b"first"  # the last to be renamed
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_a_folder_is_replaced_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "models" / "model"
    with folder_aside(out) as aside:
        (aside / "unet").mkdir()
        (aside / "unet" / "weights").write_bytes(b"one")
    with pytest.raises(KeyboardInterrupt), folder_aside(out) as aside:
        (aside / "vae").mkdir()
        raise KeyboardInterrupt
    assert (out / "unet" / "weights").read_bytes() == b"one"
    with folder_aside(out) as aside:
        (aside / "weights").write_bytes(b"two")
    assert [path.name for path in out.iterdir()] == ["weights"]
    assert [path.name for path in out.parent.iterdir()] == ["model"]


def test_of_a_folder_that_is_a_link_what_it_leads_to_is_replaced_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "disk/model").mkdir(parents=True)
    (tmp_path / "model").symlink_to(tmp_path / "disk/model")
    for content in (b"one", b"two", b"three"):
        with folder_aside(tmp_path / "model") as aside:
            (aside / "weights").write_bytes(content)
        assert (tmp_path / "model").is_symlink()
        assert (tmp_path / "disk/model/weights").read_bytes() == content
    assert {path.name for path in tmp_path.rglob("*")} == {"disk", "model", "weights"}


def test_what_a_killed_process_left_is_no_part_of_the_next_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), folder_aside(tmp_path / "model") as aside:
        left = aside
        raise KeyboardInterrupt
    left.mkdir()
    (left / "half").write_bytes(b"ha")
    with folder_aside(tmp_path / "model") as aside:
        (aside / "weights").write_bytes(b"whole")
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["weights"]


def test_content_is_on_the_disk_before_it_is_named_and_the_name_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool, bool]] = []
    file, folder = tmp_path / "a.json", tmp_path / "model"
    fsync = os.fsync

    def record(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((str(path.relative_to(tmp_path)), file.exists(), folder.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_aside(file, b"one")
    assert synced == [(".a.json.pbe-writing", False, False), (".", True, False)]
    synced.clear()
    with folder_aside(folder) as aside:
        (aside / "unet").mkdir()
        (aside / "unet" / "weights").write_bytes(b"one")
    parts = {(f".model.pbe-writing{name}", True, False) for name in ("", "/unet", "/unet/weights")}
    assert set(synced[:-1]) == parts
    assert synced[-1] == (".", True, True)


@pytest.mark.processes
def test_a_file_lock_keeps_others_out_until_its_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "True\n"
        with path.open() as file, pytest.raises(BlockingIOError):
            lock_file(file)
        process.kill()
    with path.open() as file:
        assert lock_file(file)


def test_a_folder_that_is_removed_leaves_nothing_behind_nor_does_a_removal_that_was_killed(tmp_path: Path) -> None:
    for path in (tmp_path / "model/unet", tmp_path / ".model.pbe-replaced/unet"):
        path.mkdir(parents=True)
    remove_folder(tmp_path / "model")
    assert not any(tmp_path.iterdir())
