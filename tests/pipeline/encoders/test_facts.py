import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import transformers

from pipeline.encoders.clip import ClipEncoder, load_clip
from pipeline.encoders.facts import EncoderFacts, facts_of, read_clip_facts, read_vae_facts, stamp_weights
from pipeline.encoders.vae import VaeEncoder, load_vae
from pipeline.errors import InputError

SMALL_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}


def save_kl(folder: Path, *, levels: int, channels: int) -> None:
    diffusers.AutoencoderKL(
        block_out_channels=(4,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        latent_channels=channels,
        norm_num_groups=4,
    ).save_pretrained(folder)


def save_tiny(folder: Path, *, levels: int, channels: int) -> None:
    diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8,) * levels,
        decoder_block_out_channels=(8,) * levels,
        num_encoder_blocks=(1,) * levels,
        num_decoder_blocks=(1,) * levels,
        latent_channels=channels,
    ).save_pretrained(folder)


@pytest.mark.parametrize("save", [save_kl, save_tiny])
@pytest.mark.parametrize(("levels", "channels"), [(4, 4), (1, 3), (3, 16)])
def test_a_vaes_facts_are_those_of_the_loaded_model(tmp_path: Path, save: Any, levels: int, channels: int) -> None:
    save(tmp_path, levels=levels, channels=channels)
    loaded = load_vae(str(tmp_path), device="cpu", dtype="float32")
    facts = read_vae_facts(str(tmp_path))
    assert (facts.factor, facts.channels) == (loaded.factor, loaded.channels) == (2 ** (levels - 1), channels)


def test_a_config_that_is_silent_means_the_librarys_defaults(tmp_path: Path) -> None:
    for name in ("AutoencoderKL", "AutoencoderTiny"):
        model = getattr(diffusers, name)()
        model.save_pretrained(tmp_path / name)
        (tmp_path / name / "config.json").write_text(json.dumps({"_class_name": name}))
        loaded, facts = (
            load_vae(str(tmp_path / name), device="cpu", dtype="float32"),
            read_vae_facts(str(tmp_path / name)),
        )
        assert (facts.factor, facts.channels) == (loaded.factor, loaded.channels)
    tower = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(num_hidden_layers=1))
    tower.save_pretrained(tmp_path / "clip")
    config = json.loads((tmp_path / "clip/config.json").read_text())
    del config["hidden_size"]
    (tmp_path / "clip/config.json").write_text(json.dumps(config))
    assert read_clip_facts(str(tmp_path / "clip")).dimension == tower.config.hidden_size


def test_the_length_of_vectors_is_that_of_the_loaded_tower(tmp_path: Path) -> None:
    vision = transformers.CLIPVisionConfig(**SMALL_TOWER, patch_size=56)
    transformers.CLIPVisionModel(vision).save_pretrained(tmp_path / "tower")
    text = {**SMALL_TOWER, "hidden_size": 16, "vocab_size": 50}
    both = transformers.CLIPConfig(text_config=text, vision_config={**SMALL_TOWER, "patch_size": 56})
    transformers.CLIPModel(both).save_pretrained(tmp_path / "both")
    for name in ("tower", "both"):
        loaded = load_clip(str(tmp_path / name), device="cpu", dtype="float32")
        assert read_clip_facts(str(tmp_path / name)).dimension == loaded.dimension == 32


def test_the_untrained_encoders_are_as_they_are_said_to_be(vae: VaeEncoder, clip: ClipEncoder) -> None:
    facts = facts_of(vae, clip)
    said = read_vae_facts("untrained")
    assert (said.factor, said.channels) == (facts.vae.factor, facts.vae.channels)
    assert read_clip_facts("untrained").dimension == facts.clip.dimension
    assert EncoderFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


KL, TOWER = '"_class_name": "AutoencoderKL"', '"model_type": "clip_vision_model"'


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "cannot be read"),
        ("[]", "is not a model's config"),
        ('{"_class_name": "UNet2DModel", "model_type": "bert"}', "give"),
        (f'{{{KL}, "latent_channels": "four", {TOWER}, "hidden_size": "x"}}', "is not"),
        (f'{{{KL}, "latent_channels": -4, {TOWER}, "hidden_size": 0}}', "is not"),
        (f'{{{KL}, "block_out_channels": 3, "model_type": "clip", "vision_config": 3}}', "is not"),
    ],
)
def test_a_config_that_describes_no_encoder_is_refused(tmp_path: Path, config: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").touch()
    for flag, read in (("--vae", read_vae_facts), ("--exemplar-encoder", read_clip_facts)):
        with pytest.raises(InputError, match=reason) as refusal:
            read(str(tmp_path))
        assert f"{flag} {tmp_path}" in str(refusal.value)


@pytest.mark.parametrize("files", [[], ["config.json"], ["model.safetensors"]])
def test_a_folder_without_config_or_weights_is_refused(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match="give a folder that holds the model"):
        read_vae_facts(str(tmp_path))


def test_a_stamp_follows_every_file_of_an_encoder(tmp_path: Path) -> None:
    save_tiny(tmp_path, levels=1, channels=3)
    first = stamp_weights("--vae", str(tmp_path), "vae")
    assert stamp_weights("--vae", str(tmp_path), "vae") == first
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert stamp_weights("--vae", str(tmp_path), "vae") != first
        path.write_bytes(content)
