"""What the page says when the machine fails, not the visitor."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pbe.painting.painter import Painter
from tests.pbe.painting.conftest import MakeAsked

pytest.importorskip("gradio", reason="needs gradio: pip install -e '.[app]'")
pytestmark = pytest.mark.heavy


def _lines(page: Iterator[tuple[object, ...]]) -> list[str]:
    return [str(shown[0]) for shown in page]


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range_is_one_line_on_the_page(
    painter: Painter, ask: MakeAsked, tmp_path: Path, seed: int
) -> None:
    import gradio as gr

    from pbe.painting.page import _add_numbers, paint
    from pbe.painting.upload import Sent

    with gr.Blocks():
        fields = _add_numbers()
        numbers = [field.preprocess(seed if isinstance(field, gr.Number) else field.value) for field in fields]
    *_, last = _lines(paint(painter, tmp_path, Sent(ask().source), Sent(), *numbers))
    assert f"seed: {seed:g} is out of range" in last


def test_a_place_that_cannot_be_written_to_is_one_line_and_no_traceback(
    painter: Painter, ask: MakeAsked, tmp_path: Path
) -> None:
    from pbe.painting.page import paint
    from pbe.painting.upload import Sent

    asked = ask()
    sent = Sent(asked.source, asked.brushed), Sent(asked.exemplar)
    first, last = _lines(paint(painter, tmp_path / "gone", *sent, 3.0, 1, 0, 1, "hole"))
    assert "Preparing" in first
    assert 'role="alert"' in last and "cannot write what it paints: No such file or directory" in last
    assert str(tmp_path) not in last
