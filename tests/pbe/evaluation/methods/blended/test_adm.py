"""ADM in diffusers: equal to ADM written anew, at full size every tensor covered, and refusals that name tensors."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pbe.evaluation.methods.blended.adm import build_unet, load_adm, sketch_unet
from pipeline.errors import InputError
from pipeline.tensors.fitting import differences
from tests.pbe.evaluation.methods.blended.guided_diffusion import full_size, tiny

SHAPES = [((32, 64, 128), (1, 2)), ((64, 128), (0,)), ((32, 96, 64), ())]  # of levels, and which have attention


@pytest.mark.parametrize("widths, attention", SHAPES)
def test_it_computes_what_adm_does(widths: tuple[int, ...], attention: tuple[int, ...]) -> None:
    theirs = tiny(1, widths=widths, attention=attention)
    ours = build_unet(theirs.state_dict(), "tiny.pt")
    assert ours.config.sample_size == 8 * 2 ** (len(widths) - 1)
    x = torch.randn(2, 3, ours.config.sample_size, ours.config.sample_size, generator=torch.Generator().manual_seed(0))
    for timestep in (0, 17, 747):
        torch.testing.assert_close(ours(x, timestep).sample, theirs(x, timestep), rtol=0, atol=1e-5)


def test_every_tensor_of_the_full_size_checkpoint_is_covered() -> None:
    theirs = full_size().state_dict()
    ours, state = sketch_unet(theirs, "256x256_diffusion_uncond.pt")
    assert not differences(ours, state)
    assert sum(tensor.numel() for tensor in theirs.values()) == 552_814_086
    assert sum(tensor.numel() for tensor in state.values()) == 552_814_086
    assert ours.config.sample_size == 256
    assert ours(torch.zeros(1, 3, 256, 256, device="meta"), 747).sample.shape == (1, 6, 256, 256)
    assert ours.config.block_out_channels == (256, 256, 512, 512, 1024, 1024)


def test_attention_on_a_part_of_a_head_is_refused() -> None:
    with pytest.raises(InputError, match="attention on 32 channels, not on heads of 64"):
        build_unet(tiny(widths=(32, 64), attention=(0,)).state_dict(), "narrow.pt")


def test_a_file_that_torch_save_wrote_is_read(tmp_path: Path) -> None:
    theirs = tiny()
    torch.save(theirs.state_dict(), tmp_path / "adm.pt")
    loaded = load_adm(str(tmp_path / "adm.pt"), device="cpu", dtype="float32")
    x = torch.zeros(1, 3, loaded.size, loaded.size)
    noise, between = loaded(x, 3)
    torch.testing.assert_close(torch.cat([noise, between], dim=1), theirs(x, 3), rtol=0, atol=1e-5)


STATE = tiny().state_dict()
NAMES = sorted(STATE)
TELLING = ("in_layers.0.weight", "in_layers.2.weight", "qkv.weight")  # of the model's form: others do not fit then


@settings(max_examples=15)
@given(name=st.sampled_from(NAMES), fault=st.sampled_from(["missing", "renamed", "longer"]))
def test_a_tensor_that_does_not_fit_is_refused_by_its_name(name: str, fault: str) -> None:
    state = dict(STATE)
    tensor = state.pop(name)
    if fault == "longer":
        state[name] = torch.cat([tensor, tensor])
    if fault == "renamed":
        state[f"{name}_"] = tensor
    with pytest.raises(InputError, match=r"^wrong\.pt.*give OpenAI's") as refused:
        build_unet(state, "wrong.pt")
    if not name.endswith(TELLING):
        assert name in str(refused.value)


def test_a_model_with_classes_is_refused_by_the_tensor_that_it_has_too_much() -> None:
    state = {**STATE, "label_emb.weight": torch.zeros(1000, 128)}
    with pytest.raises(InputError, match=r"1 unexpected \(label_emb\.weight\); give OpenAI's 256x256_diffusion_uncond"):
        build_unet(state, "256x256_diffusion.pt")


def test_numbers_that_are_not_finite_are_refused() -> None:
    state = dict(STATE)
    state["out.2.bias"] = torch.full_like(state["out.2.bias"], torch.nan)
    with pytest.raises(InputError, match=r"conv_out\.bias"):
        build_unet(state, "damaged.pt")


@pytest.mark.parametrize(
    "state", [{}, {"conv_in.weight": torch.zeros(1)}, {"input_blocks.0.0.weight": torch.zeros(())}]
)
def test_weights_of_another_model_are_refused(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(InputError, match="is not an ADM's UNet"):
        build_unet(state, "other.safetensors")
