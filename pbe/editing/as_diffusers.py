"""As diffusers: source, mask, exemplar -> a task with the latents of diffusers' pipeline for the same seed.

They agree with those of its PaintByExamplePipeline to within 1e-5. It differs from our own preparation: the whole
source at its own size instead of a crop; the mask at latent size by nearest neighbour; one generator for all noise,
the initial noise first, then the masked source's draw from the posterior; the exemplar through CLIPImageProcessor
(bicubic, centre crop). Of a model of velocities, the scheduler takes these as they are.
"""

import torch
import transformers
from PIL import Image

from pbe.editing.checks import refuse_odd_size
from pbe.editing.editor import Editor, Task, contexts_of
from pbe.model.finite import refuse_not_finite
from pbe.model.sampler import Conditions
from pipeline.arrays import Hole, Pixels
from pipeline.decoding.colour import Planes
from pipeline.draws.crops import Crop
from pipeline.encoders.clip import CLIP_MEAN, CLIP_STD, all_tokens, pooled_token
from pipeline.encoders.latents import encode_sample
from pipeline.encoders.pixels import blank_signed, signed


def prepare_as_diffusers(editor: Editor, source: Pixels, mask: Hole, exemplar: Pixels, *, seed: int, n: int) -> Task:
    """Encode and draw as diffusers' pipeline does with `torch.Generator("cpu").manual_seed(seed)`.

    Args:
        source: [H, W, 3] uint8 RGB, H and W multiples of 8 and of the VAE's factor.
        mask: [H, W] bool, True = repaint.
        exemplar: [h, w, 3] uint8 RGB.
        n: pictures, `num_images_per_prompt` there.

    Raises:
        InputError: the source's size.
        NotFiniteError: a part of the model gives numbers that are not finite.
    """
    height, width = mask.shape
    refuse_odd_size(width, height, factor=editor.codec.factor)
    generator = torch.Generator("cpu").manual_seed(seed)
    cells = (height // editor.codec.factor, width // editor.codec.factor)
    noise = torch.randn((n, editor.channels, *cells), generator=generator)
    hole = mask.astype("uint8")[None]
    masked_latents = encode_sample(editor.vae, blank_signed(signed(source[None]), hole), generator)
    refuse_not_finite(masked_latents, "VAE's encoder", editor.vae.dtype)
    conditions = Conditions(
        *contexts_of(editor, _features(editor, exemplar)),
        masked_latents=masked_latents.float(),
        masks=torch.nn.functional.interpolate(torch.from_numpy(hole)[None].float(), size=cells).to(editor.vae.device),
    )
    return Task(Planes(source), mask, Crop((0, 0, width, height), "crop"), conditions, noise, as_diffusers=True)


@torch.inference_mode()
def _features(editor: Editor, exemplar: Pixels) -> torch.Tensor:
    """Encode an exemplar as prepared there: [1, d], or all tokens [1, n, d]."""
    tower = editor.tower
    pixels = _process(exemplar, tower.config.image_size).to(tower.device, tower.dtype)
    return pooled_token(tower, pixels) if editor.parts.model.config.bottleneck else all_tokens(tower, pixels)


def _process(exemplar: Pixels, size: int) -> torch.Tensor:
    """Resize the short side (bicubic), cut out the centre, normalise: [1, 3, size, size]."""
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": size},
        crop_size={"height": size, "width": size},
        image_mean=CLIP_MEAN,
        image_std=CLIP_STD,
    )
    pixels: torch.Tensor = processor(images=Image.fromarray(exemplar), return_tensors="pt").pixel_values
    return pixels
