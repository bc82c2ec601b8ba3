"""CLIP: its vectors are transformers' own, guidance moves a painting towards them, and damaged files are refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from pbe.evaluation.methods.blended.clip import Clip, load_clip, load_tokenizer
from pbe.evaluation.methods.blended.clip_files import PAPERS, name_of
from pbe.evaluation.methods.blended.guidance import ClipGuide
from pbe.evaluation.methods.blended.sampler import paint
from pipeline.encoders.clip import clip_normalise
from pipeline.encoders.libraries import transformers
from pipeline.errors import InputError
from tests.pbe.editing.tiny_model import random_picture
from tests.pbe.evaluation.methods.blended.test_sampler import STEPS, gaussian, no_guide
from tests.pbe.evaluation.methods.blended.tiny_models import write_clip

PX = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder: Path) -> Clip:
    return load_clip(str(folder), device="cpu", dtype="float32")


def test_vectors_are_those_that_transformers_gives(folder: Path, clip: Clip) -> None:
    theirs = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = load_tokenizer(str(folder), clip)
    pictures = torch.rand(2, 3, clip.side, clip.side, generator=torch.Generator().manual_seed(0))
    text = "A photo of a dog"
    tokens = transformers.CLIPTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        expected = theirs(**tokens, pixel_values=clip_normalise(pictures))
        images, texts = clip.encode(pictures), clip.encode_text(tokenizer, text)
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(unit(images, dim=-1), expected.image_embeds, rtol=0, atol=1e-5)
    torch.testing.assert_close(unit(texts, dim=-1), expected.text_embeds, rtol=0, atol=1e-5)
    long = clip.encode_text(tokenizer, "a photo of " + "dog " * 100)
    assert torch.isfinite(long).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("variant", ["text", "image"])
def test_guidance_moves_what_is_painted_towards_the_text_or_image(
    variant: str, seed: int, folder: Path, clip: Clip
) -> None:
    if variant == "text":
        target = clip.encode_text(load_tokenizer(str(folder), clip), "a photo of a dog")
    else:
        target = clip.encode_picture(random_picture(40, 30, seed=seed))
    source, hole = torch.zeros(1, 3, PX, PX), torch.zeros(1, 1, PX, PX)
    hole[..., 4:28, 6:30] = 1
    model = gaussian(0.0, 0.5)
    guide = ClipGuide(clip.encode, target, clip.side, seed)
    guided, free = (paint(model, each, source, hole, steps=STEPS, seed=seed) for each in (guide, no_guide))
    away, before = (1 - _similarity(clip, painted * hole, target) for painted in (guided, free))
    assert away < 0.8 * before
    assert torch.equal(guided[hole.expand_as(guided) == 0], source[hole.expand_as(guided) == 0])


def test_a_tokenizer_of_another_clip_is_refused(folder: Path, clip: Clip, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    words = json.loads((other / "vocab.json").read_text())
    for file in other.glob("tokenizer*.json"):
        file.unlink()
    (other / "vocab.json").write_text(json.dumps({**words, "more</w>": len(words)}))
    with pytest.raises(InputError, match=rf"tokenizer has word {len(words)}, of {len(words)} that the model knows"):
        load_tokenizer(str(other), clip)
    (other / "vocab.json").write_text("[")
    with pytest.raises(InputError, match=r"its tokenizer: its config does not describe a model"):
        load_tokenizer(str(other), clip)


def test_weights_that_do_not_fit_their_config_are_refused(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "projection_dim": 24}))
    with pytest.raises(InputError, match=r"does not fit this model: .*projection\.weight \(16, 32\) for \(24, 32\)"):
        load_clip(str(other), device="cpu", dtype="float32")
    config["vision_config"]["num_hidden_layers"] = 10**6
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="does not describe a model"):
        load_clip(str(other), device="cpu", dtype="float32")


def test_the_papers_clip_is_known_by_its_shape() -> None:
    config = {"model_type": "clip", "projection_dim": 512, "vision_config": {"patch_size": 16}}
    assert name_of("clip", config) == PAPERS
    assert name_of("clip", {"model_type": "clip"}) == "CLIP ViT-B/32"  # what transformers takes of a silent config
    for vision in (3, "small", {"hidden_size": []}):
        with pytest.raises(InputError, match=r"clip: its config\.json does not describe a tower"):
            name_of("clip", {**config, "vision_config": vision})


def _similarity(clip: Clip, picture: torch.Tensor, target: torch.Tensor) -> float:
    """Cosine of the picture, as it is, with the target."""
    shrunk = torch.nn.functional.adaptive_avg_pool2d(picture, clip.side)
    with torch.no_grad():
        return float(torch.nn.functional.cosine_similarity(clip.encode((shrunk + 1) / 2), target))
