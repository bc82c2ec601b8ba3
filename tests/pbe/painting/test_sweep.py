"""What visitors leave on the disk goes after an hour, whatever made it."""

import time
from pathlib import Path

from pbe.painting.sweep import sweep


def test_files_of_before_go_and_those_of_after_stay(tmp_path: Path) -> None:
    old, young = tmp_path / "a" / "edited.png", tmp_path / "b" / "edited.png"
    for path in (old, young):
        path.parent.mkdir()
    old.write_bytes(b"old")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "nowhere")
    between = old.lstat().st_ctime + 0.05
    while time.time() < between + 0.05:
        time.sleep(0.01)
    young.write_bytes(b"young")
    sweep(tmp_path, before=between)
    assert [path.name for path in tmp_path.rglob("*") if not path.is_dir()] == ["edited.png"] and young.exists()
    sweep(tmp_path / "none", before=time.time())
