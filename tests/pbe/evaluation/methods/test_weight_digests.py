"""Digests of weights: of bytes, wherever they lie, remembered until a file changes."""

import os
import shutil
from pathlib import Path

from pbe.evaluation.methods.weight_digests import digest_files


def _file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_copies_have_the_digest_of_their_originals_in_any_order(tmp_path: Path) -> None:
    files = [_file(tmp_path / "a" / name, name.encode()) for name in ("config.json", "model.safetensors")]
    copies = [Path(shutil.copy(file, tmp_path / file.name)) for file in files]
    assert digest_files(files, cache="") == digest_files(copies[::-1], cache="")


def test_a_changed_byte_changes_the_digest_with_and_without_a_cache(tmp_path: Path) -> None:
    file, cache = _file(tmp_path / "model.pt", b"0123"), str(tmp_path / "cache")
    before = digest_files([file], cache=cache)
    _file(file, b"0124")
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    after = digest_files([file], cache=cache)
    assert before != after == digest_files([file], cache="")


def test_a_known_digest_is_taken_without_reading_the_file(tmp_path: Path) -> None:
    file, cache = _file(tmp_path / "model.pt", b"0123"), str(tmp_path / "cache")
    known, stamp = digest_files([file], cache=cache), file.stat()
    _file(file, b"9999")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # nobody could tell without reading it
    assert digest_files([file], cache=cache) == known != digest_files([file], cache="")


def test_a_memo_that_was_cut_short_is_as_good_as_none(tmp_path: Path) -> None:
    file, cache = _file(tmp_path / "model.pt", b"0123"), tmp_path / "cache"
    known = digest_files([file], cache=str(cache))
    [memo] = (cache / "weights").iterdir()
    for content in (b"", b'"ab', b"[]", b"\xff"):
        memo.write_bytes(content)
        assert digest_files([file], cache=str(cache)) == known
