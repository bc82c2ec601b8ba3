"""A prior is read before the first training: its size, its tensors, and whether it is the paper's kind."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pbe.evaluation.ablation.prior import PAINTS, caveat_of, check_prior
from pbe.training.config import PRESETS
from pbe.weights.ldm_checkpoint import conditioner_to_ldm, unet_to_ldm, vae_to_ldm
from pipeline.errors import InputError
from tests.pbe.conftest import LDM_SIZE, random_model, tiny_config, tiny_vae
from tests.pbe.editing.tiny_model import write_model
from tests.pbe.evaluation.ablation.tiny_prior import write_prior

TINY = PRESETS["smoke"]


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prior(tmp_path_factory.mktemp("prior"))


def test_stable_diffusion_of_the_presets_size_is_a_prior(prior: Path) -> None:
    assert caveat_of(str(prior)) == ""
    check_prior(str(prior), TINY)


def test_one_of_another_size_is_refused_by_what_differs(prior: Path) -> None:
    with pytest.raises(InputError, match=r"block_out_channels \[8, 16\], the naive row's has \[32, 64, 96\]"):
        check_prior(str(prior), replace(TINY, model="small"))


def test_one_of_velocities_is_no_start_for_rows_of_noise(prior: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(prior, tmp_path / "v"))
    (changed / "scheduler").mkdir(exist_ok=True)
    (changed / "scheduler/scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    with pytest.raises(InputError, match=r"predicts velocities, the rows noise; give the trainer's --prediction v"):
        check_prior(str(changed), TINY)
    check_prior(str(changed), replace(TINY, prediction="v"))


def test_one_that_cannot_be_read_is_refused_by_the_flag(prior: Path, tmp_path: Path) -> None:
    torn = shutil.copytree(prior, tmp_path / "torn")
    [weights] = (torn / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"--prior {torn}"):
        check_prior(str(torn), TINY)


def test_one_that_paints_by_example_is_named_as_a_folder_and_as_a_checkpoint(tmp_path: Path) -> None:
    model = random_model(tiny_config(size=LDM_SIZE))
    parts = {"plain.ckpt": unet_to_ldm(model.unet.state_dict()) | vae_to_ldm(tiny_vae().state_dict())}
    parts["pbe.ckpt"] = parts["plain.ckpt"] | conditioner_to_ldm(model.conditioner.state_dict())
    for name, state in parts.items():
        torch.save({"state_dict": state}, tmp_path / name)
    assert [caveat_of(str(tmp_path / name)) for name in parts] == ["", PAINTS]
    assert caveat_of(str(write_model(tmp_path / "pbe"))) == PAINTS
