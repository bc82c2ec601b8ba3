"""A label has one name."""

from pathlib import Path

import pytest

from pipeline.boxes.class_names import read_class_names
from pipeline.errors import InputError


def test_a_label_with_two_names_is_refused_and_one_that_is_repeated_is_not(tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text("LabelName,DisplayName\n/m/1,Dog\n/m/2,Cat\n\n/m/1,Dog\n")
    assert read_class_names(str(table), anonymous=False) == {"/m/1": "Dog", "/m/2": "Cat"}
    table.write_text("/m/1,Dog\n/m/2,Cat\n/m/1,Wolf\n")
    with pytest.raises(InputError, match=r"--classes .*classes.csv: line 3: /m/1 is 'Wolf', before 'Dog'; leave one"):
        read_class_names(str(table), anonymous=False)


@pytest.mark.parametrize("text", ["", "\n", "LabelName,DisplayName\n"])
def test_a_table_without_names_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(InputError, match=r"--classes .*classes.csv: no rows; give a CSV of label and name"):
        read_class_names(str(tmp_path / "classes.csv"), anonymous=False)
