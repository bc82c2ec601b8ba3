import json
from pathlib import Path

import diffusers
import numpy as np
import pytest
import safetensors.torch
import torch
import transformers

from pipeline.encoders.clip import ClipEncoder, load_clip
from pipeline.encoders.pixels import blank_signed, signed
from pipeline.encoders.vae import VaeEncoder, load_vae
from pipeline.errors import InputError

FLAGS = {"vae": "--vae", "clip": "--exemplar-encoder"}
IMAGES = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)


def test_pixels_become_minus_one_to_one_and_the_hole_exactly_zero() -> None:
    images = signed(IMAGES)
    assert images.shape == (3, 3, 64, 64)
    assert images.abs().max() <= 1
    masks = np.zeros((3, 64, 64), np.uint8)
    masks[:, 10:20, 30:40] = 1
    masked = blank_signed(images, masks)
    assert (masked[:, :, 10:20, 30:40] == 0).all()
    assert torch.equal(masked[:, :, :10], images[:, :, :10])


def test_latents_are_the_scaled_posterior_mean(vae: VaeEncoder) -> None:
    latents = vae.encode(signed(IMAGES))
    assert latents.shape == (3, vae.channels, 64 // vae.factor, 64 // vae.factor)
    assert latents.dtype == np.float16
    with torch.inference_mode():
        mean = vae.model.encode(signed(IMAGES)).latent_dist.mean * 0.18215
    assert np.abs(latents - mean.numpy()).max() < 1e-3
    assert np.array_equal(latents, vae.encode(signed(IMAGES)))


def test_the_exemplar_vector_is_the_pooled_token(clip: ClipEncoder) -> None:
    exemplars = np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3), dtype=np.uint8)
    processor = transformers.CLIPImageProcessor(do_resize=False, do_center_crop=False)
    with torch.inference_mode():
        expected = clip.model(**processor(list(exemplars), return_tensors="pt")).pooler_output
    vectors = clip.encode(exemplars)
    assert vectors.shape == (2, clip.dimension)
    assert np.abs(vectors - expected.numpy()).max() < 2e-3


def test_fingerprints_follow_weights_and_precision(vae: VaeEncoder, tmp_path: Path) -> None:
    assert load_vae("untrained", device="cpu", dtype="float32").fingerprint == vae.fingerprint
    assert load_vae("untrained", device="cpu", dtype="bfloat16").fingerprint != vae.fingerprint
    vae.model.save_pretrained(tmp_path / "vae")
    assert load_vae(str(tmp_path / "vae"), device="cpu", dtype="float32").fingerprint == vae.fingerprint
    changed = load_vae(str(tmp_path / "vae"), device="cpu", dtype="float32").model
    changed.state_dict()["encoder.conv_in.bias"].add_(1e-3)
    changed.save_pretrained(tmp_path / "changed")
    assert load_vae(str(tmp_path / "changed"), device="cpu", dtype="float32").fingerprint != vae.fingerprint


def test_a_whole_pipelines_folder_is_entered_at_its_part(vae: VaeEncoder, clip: ClipEncoder, tmp_path: Path) -> None:
    vae.model.save_pretrained(tmp_path / "vae")
    clip.model.save_pretrained(tmp_path / "image_encoder")
    assert load_vae(str(tmp_path), device="cpu", dtype="float32").fingerprint == vae.fingerprint
    assert load_clip(str(tmp_path), device="cpu", dtype="float32").fingerprint == clip.fingerprint


@pytest.mark.parametrize("nesting", ["model.", "model.vision_model."])  # as transformers 5 and 4 name the tower
def test_a_paint_by_example_image_encoder_gives_its_tower(clip: ClipEncoder, tmp_path: Path, nesting: str) -> None:
    tower = {name.removeprefix("vision_model."): value for name, value in clip.model.state_dict().items()}
    mapper = {"mapper.blocks.0.norm1.weight": torch.ones(4), "uncond_vector": torch.zeros(1, 1, 4)}
    clip.model.config.save_pretrained(tmp_path / "image_encoder")
    config = json.loads((tmp_path / "image_encoder/config.json").read_text())
    config["architectures"] = ["PaintByExampleImageEncoder"]
    (tmp_path / "image_encoder/config.json").write_text(json.dumps(config))
    weights = {**{nesting + name: value for name, value in tower.items()}, **mapper}
    safetensors.torch.save_file(weights, tmp_path / "image_encoder/model.safetensors", metadata={"format": "pt"})
    assert load_clip(str(tmp_path), device="cpu", dtype="float32").fingerprint == clip.fingerprint


def test_a_full_clip_model_gives_its_vision_tower(tmp_path: Path) -> None:
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
    config = transformers.CLIPConfig(text_config={**small, "vocab_size": 50}, vision_config={**small, "patch_size": 56})
    model = transformers.CLIPModel(config)
    model.save_pretrained(tmp_path)
    encoder = load_clip(str(tmp_path), device="cpu", dtype="float32")
    weights = model.vision_model.state_dict()
    loaded = {name.removeprefix("vision_model."): value for name, value in encoder.model.state_dict().items()}
    assert all(torch.equal(loaded[name], weights[name]) for name in weights if "position_ids" not in name)


@pytest.mark.parametrize(("channels", "blocks"), [(4, 4), (32, 4), (6, 3)])
def test_any_tiny_autoencoder_gives_its_own_channels_and_factor(tmp_path: Path, channels: int, blocks: int) -> None:
    model = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8,) * blocks,
        decoder_block_out_channels=(8,) * blocks,
        num_encoder_blocks=(1,) * blocks,
        num_decoder_blocks=(1,) * blocks,
        latent_channels=channels,
    )
    model.save_pretrained(tmp_path)
    encoder = load_vae(str(tmp_path), device="cpu", dtype="float32")
    latents = encoder.encode(signed(IMAGES))
    assert latents.shape == (3, encoder.channels, 64 // encoder.factor, 64 // encoder.factor)
    assert (encoder.channels, encoder.factor) == (channels, 2 ** (blocks - 1))


@pytest.mark.parametrize("flag", ["vae", "clip"])
def test_models_that_cannot_be_had_are_refused_naming_the_flag_and_the_remedy(tmp_path: Path, flag: str) -> None:
    load = {"vae": load_vae, "clip": load_clip}[flag]
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel", "model_type": "bert"}')
    for name in ("some/model", str(tmp_path / "none"), str(tmp_path), str(tmp_path / "config.json")):
        with pytest.raises(InputError) as refusal:
            load(name, device="cpu", dtype="float32")
        assert f"{FLAGS[flag]} {name}" in str(refusal.value)
        assert "give" in str(refusal.value)


@pytest.mark.parametrize("flag", ["vae", "clip"])
def test_weights_with_gaps_or_damage_are_refused(vae: VaeEncoder, clip: ClipEncoder, tmp_path: Path, flag: str) -> None:
    model, load = {"vae": (vae.model, load_vae), "clip": (clip.model, load_clip)}[flag]
    model.save_pretrained(tmp_path)
    weights = next(tmp_path.glob("*.safetensors"))
    tensors = safetensors.torch.load_file(weights)
    safetensors.torch.save_file(dict(list(tensors.items())[:-1]), weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match=rf"{FLAGS[flag]} .* does not fit this model: 1 missing"):
        load(str(tmp_path), device="cpu", dtype="float32")
    weights.write_bytes(b"damaged")
    with pytest.raises(InputError, match="is not a complete safetensors file"):
        load(str(tmp_path), device="cpu", dtype="float32")
