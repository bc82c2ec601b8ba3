"""--help of every verb is shown before anything heavy is imported."""

from pathlib import Path

import pytest

from tests.pbe.refusals import refuse_all

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    ("verb", "flag"),
    [("train", "--zero-stage"), ("edit", "--guidance"), ("convert", "--layout"), ("leaks", "--bench-info")],
)
def test_help_is_shown_before_anything_heavy_is_imported(verb: str, flag: str, tmp_path: Path) -> None:
    [shown] = refuse_all(f"pbe.{verb}", {"help": ["--help"]}, folder=tmp_path).values()
    assert shown.code == 0 and flag in shown.said
    assert shown.heavy == []
