"""--help of every verb costs no more than a refusal."""

from pathlib import Path

import pytest

from tests.pbe.refusals import MOST_STARTS, refuse_all

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    ("verb", "flag"),
    [("train", "--zero-stage"), ("edit", "--guidance"), ("convert", "--layout"), ("leaks", "--bench-info")],
)
def test_help_is_shown_at_once(verb: str, flag: str, tmp_path: Path) -> None:
    [shown] = refuse_all(f"pbe.{verb}", {"help": ["--help"]}, folder=tmp_path).values()
    assert shown.code == 0 and flag in shown.said
    assert shown.heavy == [] and shown.starts <= MOST_STARTS
