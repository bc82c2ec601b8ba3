"""A folder of finished pictures takes part as a method."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.methods.attempts import edit_cases
from pbe.evaluation.methods.naming import open_methods
from pbe.evaluation.methods.protocol import CaseError, MethodOptions, facts_of
from tests.pbe.evaluation.methods.opened_cases import opened_case

CASE = opened_case()
EDITED = Image.fromarray(CASE.source[::-1])


def attempt(place: str | Path, case: OpenedCase = CASE) -> Any:
    method = opened(place)
    assert method.name == "theirs"
    [found] = edit_cases(method, [case])
    return found


def opened(place: str | Path) -> Any:
    [method] = open_methods([f"pictures=theirs:{place}"], MethodOptions())
    return method


@pytest.mark.parametrize("file", ["a.png", "a.PNG", "a.webp", "a.jpg", "a.jpeg"])
def test_a_picture_named_after_its_case_is_its_result(file: str, tmp_path: Path) -> None:
    EDITED.save(tmp_path / file, lossless=True, quality=100)
    off = np.abs(attempt(tmp_path)[""].astype(int) - EDITED).max()
    assert off == 0 or ".jp" in file


@pytest.mark.parametrize("name", ["139", "000000000139"])
def test_cocoees_results_are_found_by_their_number(name: str, tmp_path: Path) -> None:
    EDITED.save(tmp_path / "000000000139.png")
    assert np.array_equal(attempt(tmp_path, opened_case(name, source=CASE.source))[""], EDITED)


def test_a_picture_of_the_sources_aspect_is_resized(tmp_path: Path) -> None:
    Image.new("RGB", (112, 80), "red").save(tmp_path / "a.png")
    assert (attempt(tmp_path)[""] == (255, 0, 0)).all()
    assert "resized" in opened(tmp_path).notes[0]


def test_what_is_missing_damaged_doubled_or_of_another_aspect_fails_its_case(tmp_path: Path) -> None:
    EDITED.resize((80, 40)).save(tmp_path / "wide.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    for file in ("twice.png", "twice.jpg"):
        EDITED.save(tmp_path / file)
    for name, message in {
        "gone": f"no gone.png in {tmp_path}",
        "../a": "no ../a.png",
        "wide": "wide.png has 80 x 40 px, the source 56 x 40: another aspect",
        "torn": "torn.png in .* cannot be read as a picture",
        "twice": "holds twice.jpg and twice.png; keep one",
    }.items():
        failed = attempt(tmp_path, opened_case(name))
        with pytest.raises(CaseError, match=message):
            raise failed


def test_a_folder_without_pictures_is_unavailable(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere", "memory://nowhere"):
        assert "holds no pictures" in opened(place).available() and facts_of(opened(place)).settings


def test_pictures_lie_at_any_url(tmp_path: Path) -> None:
    import fsspec

    EDITED.save(tmp_path / "a.png")
    fsspec.filesystem("memory").pipe_file("/results of theirs/a.png", (tmp_path / "a.png").read_bytes())
    assert np.array_equal(attempt("memory://results of theirs")[""], EDITED)


def test_settings_change_with_the_pictures(tmp_path: Path) -> None:
    import fsspec

    EDITED.save(tmp_path / "a.png")
    memory = fsspec.filesystem("memory")
    seen = []
    for picture in ("a.png", "a.png", "b.png"):
        EDITED.save(tmp_path / picture)
        os.utime(tmp_path / picture, (1, 1))
        memory.pipe_file(f"/changing/{picture}", b"as long")
        seen.append([facts_of(opened(place)).settings for place in (tmp_path, "memory://changing")])
    assert seen[0][0] == seen[1][0] != seen[2][0] and seen[1][1] != seen[2][1]
