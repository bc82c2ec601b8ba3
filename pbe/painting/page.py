"""Page: a painter -> what a browser shows, and what its buttons do.

Nothing of a visitor is kept between two clicks, so that two of them cannot mix.
"""

import html
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import gradio as gr

from pbe.editing.canvas import Blend
from pbe.model.sampler import DEFAULT_GUIDANCE
from pbe.painting.asked import Asked
from pbe.painting.config import MOST_GUIDANCE, MOST_PICTURES, MOST_STEPS, MOST_WAITING, STEPS
from pbe.painting.painter import Painted, Painter, Seen
from pbe.painting.samples import Sample
from pbe.painting.upload import Sent, hand_on_files
from pipeline.errors import InputError
from pipeline.storage.redaction import redact
from pipeline.storage.retries import is_full

TITLE = "Paint by Example"
CSS, HEAD = (Path(__file__).with_name(name) for name in ("page.css", "page.html"))
BLENDS: dict[Blend, str] = {
    "hole": "around the brushed part",
    "paste": "inside it: nothing else changes",
    "crop": "all that the model painted",
}
assert set(BLENDS) == set(get_args(Blend))


def make_page(painter: Painter, samples: Sequence[Sample], *, model: str, work: Path) -> Any:
    """Lay out the page.

    Args:
        model: named below the title.
        work: an existing folder, for paintings while they are made.

    Returns:
        gradio's Blocks.
    """
    hand_on_files()
    with gr.Blocks(title=TITLE) as page:
        gr.HTML(
            f"<h1>{TITLE}</h1><p>1. Choose a photo, and brush over what is to be repainted. 2. Choose an exemplar of "
            f'what is to be there, and crop it to that. 3. Paint.</p><p class="model">Model: {html.escape(model)}</p>',
            elem_classes="intro",
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                editors = _add_editors()
                gr.HTML(_samples_html(samples), elem_id="samples")
            with gr.Column(scale=2, min_width=320):
                numbers = _add_numbers()
                with gr.Row():
                    go = gr.Button("Paint", variant="primary", elem_id="paint")
                    stop = gr.Button("Stop", elem_id="stop", min_width=80)
                shown = _add_results()
        painting = go.click(
            partial(paint, painter, work),
            inputs=[*editors, *numbers],
            outputs=shown,
            concurrency_limit=1,
            show_progress="minimal",
            show_progress_on=[shown[0]],
            api_visibility="private",
        )
        stop.click(
            lambda: _say("Stopped."), outputs=shown[:1], cancels=[painting], queue=False, api_visibility="private"
        )
    page.queue(max_size=MOST_WAITING, api_open=False)
    return page


def _add_editors() -> list[Any]:
    """Add where photo and exemplar are chosen: the photo is brushed, the exemplar may be cut."""
    common = {"type": "filepath", "format": "png", "sources": ("upload",), "layers": False, "buttons": []}
    source = gr.ImageEditor(
        label="Photo",
        transforms=(),
        brush=gr.Brush(colors=["#ffffff"], color_mode="fixed"),
        elem_id="source",
        height=420,
        **common,
    )
    exemplar = gr.ImageEditor(
        label="Exemplar",
        transforms=("crop",),
        brush=gr.Brush(colors=["#ffffff"], color_mode="fixed"),  # without one, gradio hides the tools, crop too
        elem_id="exemplar",
        height=320,
        **common,
    )
    return [source, exemplar]


def _samples_html(samples: Sequence[Sample]) -> str:
    """Write buttons that put photo and exemplar into their editors; page.html has what they do."""
    buttons = [
        f'<button class="sample" title="{html.escape(sample.name)}">'
        f'<img data-editor="source" alt="{html.escape(sample.name)}: photo" src="{sample.source}">'
        f'<img data-editor="exemplar" alt="exemplar" src="{sample.exemplar}"></button>'
        for sample in samples
    ]
    return f'<div class="samples"><p>Or begin with one of these, and brush:</p>{"".join(buttons)}</div>'


def _add_numbers() -> list[Any]:
    """Add guidance, steps, seed, number of pictures and blend."""
    return [
        gr.Slider(
            1, MOST_GUIDANCE, DEFAULT_GUIDANCE, step=0.5, label="Guidance", info="larger: closer to the exemplar"
        ),
        gr.Slider(1, MOST_STEPS, STEPS, step=1, label="Steps", info="more: finer, and slower"),
        gr.Number(0, label="Seed", precision=0, info="another paints another picture"),  # bounds print a traceback
        gr.Slider(1, MOST_PICTURES, 1, step=1, label="Pictures", info="of this seed and the following"),
        gr.Radio([(text, how) for how, text in BLENDS.items()], value="hole", label="Blend", info="where it fades out"),
    ]


def _add_results() -> list[Any]:
    """Add status, pictures, download and command."""
    status = gr.HTML(_say(""), elem_id="status")
    pictures = gr.Gallery(
        label="Pictures",
        columns=2,
        object_fit="contain",
        height="auto",
        elem_id="pictures",
        buttons=["fullscreen"],
        interactive=False,
    )
    download = gr.DownloadButton("Download: pictures, inputs, record", elem_id="download", visible=False)
    command = gr.Textbox(
        label="The same again, in the unpacked download", elem_id="command", visible=False, buttons=["copy"], lines=2
    )
    return [status, pictures, download, command]


def paint(
    painter: Painter,
    work: Path,
    source: Sent,
    exemplar: Sent,
    guidance: float,
    steps: int,
    seed: int,
    pictures: int,
    blend: Blend,
) -> Iterator[tuple[Any, ...]]:
    """Paint what a visitor asks for: what becomes of status, pictures, download and command, step by step."""
    asked = Asked(source.picture, source.brushed, exemplar.picture, guidance, steps, seed or 0, pictures, blend)
    hidden = gr.update(visible=False), gr.update(visible=False)
    yield _say("Preparing ..."), gr.skip(), *hidden
    try:
        with tempfile.TemporaryDirectory(dir=work, ignore_cleanup_errors=True) as folder:
            try:
                for item in painter.paint(asked, Path(folder)):
                    if isinstance(item, Painted):
                        yield _finished(item)
                    else:
                        yield _say(f"Step {item.step} of {item.steps}", item), _previews(item), gr.skip(), gr.skip()
            except InputError as error:
                yield _say(redact(str(error).replace(f"{folder}/", "")), wrong=True), None, *hidden
    except OSError as error:
        why = "its disk is full" if is_full(error) else error.strerror or type(error).__name__
        yield (
            _say(f"the server cannot write what it paints: {why}; mend that, and paint again", wrong=True),
            None,
            *hidden,
        )


def _previews(seen: Seen) -> Any:
    return gr.skip() if seen.previews is None else list(seen.previews)


def _finished(painted: Painted) -> tuple[Any, ...]:
    pictures = [(str(path), name) for name, path in painted.pictures.items()]
    count = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
    return (
        _say(f"{count} in {painted.seconds:.1f} s"),
        pictures,
        gr.update(value=str(painted.download), visible=True),
        gr.update(value=painted.command, visible=True),
    )


def _say(line: str, seen: Seen | None = None, *, wrong: bool = False) -> str:
    """Write the status line, with a bar while steps are taken."""
    bar = f'<progress max="{seen.steps}" value="{seen.step}"></progress>' if seen else ""
    kind, role = ("status error", "alert") if wrong else ("status", "status")
    return f'<div class="{kind}" role="{role}">{html.escape(line)}{bar}</div>'
