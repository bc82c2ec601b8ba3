"""Latents and vectors that are not finite: a few odd samples are drops, many are the fault of an encoder."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
import torch
from numpy.typing import NDArray

from pipeline.encoders.clip import ClipEncoder
from pipeline.encoders.pixels import signed
from pipeline.encoders.vae import VaeEncoder
from pipeline.jobs.preparation import PreparedJob
from pipeline.shards.records import read_records
from pipeline.units.maker import NotFiniteError
from tests.pipeline.conftest import problems
from tests.pipeline.pairing.own_pairs import Jpeg, write_pairs
from tests.pipeline.pairing.own_pairs import make as make_pairs

Make = Callable[..., PreparedJob]
ONE_UNIT = {"split_shares": (1.0, 0.0, 0.0), "photos_per_unit": 7}


@dataclass
class Overflowing:
    """A VAE whose latents or masked latents of some samples are not finite.

    Args:
        bad: numbers of these samples, in the order in which they are encoded.
        value: what one number of each is then.
        masked: whether it is one of the masked latent.
    """

    vae: VaeEncoder
    bad: tuple[int, ...]
    value: float = np.nan
    masked: bool = False
    seen: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    turn: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.vae, name)

    def encode(self, images: torch.Tensor) -> NDArray[np.float16]:
        latents = self.vae.encode(images).copy()
        first, masked = self.seen[self.turn], self.turn
        self.seen[masked], self.turn = first + len(latents), not masked
        for number in self.bad:
            if masked == self.masked and first <= number < first + len(latents):
                latents[number - first, -1, -1, -1] = self.value
        return latents


def rows_of(out: Path, folder: str) -> list[dict[str, Any]]:
    return ds.dataset(out / folder, format="parquet").to_table().to_pylist()


def test_an_odd_sample_becomes_a_drop_and_changes_no_byte_of_the_others(
    make: Make, vae: VaeEncoder, tmp_path: Path
) -> None:
    more = {**ONE_UNIT, "draws": 1, "encode_batch": 3}
    make(tmp_path / "sound", **more)
    sound = {row["key"]: row["sha256"] for row in rows_of(tmp_path / "sound", "index")}
    for masked, value, detail in (
        (False, np.nan, "latent of the VAE in float32: NaN"),
        (True, -np.inf, "masked_latent of the VAE in float32: inf"),
    ):
        out = tmp_path / detail
        make(out, sources=Overflowing(vae, bad=(4,), value=value, masked=masked), **more)
        assert problems(out) == []  # its sums hold, too
        [drop] = rows_of(out, "drops/units")
        assert (drop["stage"], drop["reason"], drop["detail"]) == ("draw", "not_finite", detail)
        kept = {row["key"]: row["sha256"] for row in rows_of(out, "index")}
        assert kept.items() < sound.items()
        assert sound.keys() - kept.keys() == {f"{drop['image_id']}-{drop['box_id']}-{drop['draw']}"}


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("draws", "bad", "fails"),
    [(1, 0, False), (1, 1, False), (1, 2, True), (1, 7, True), (6, 2, False), (6, 3, True)],
)
def test_a_unit_with_more_than_one_and_more_than_5_percent_of_such_samples_fails_before_its_records(
    make: Make, vae: VaeEncoder, tmp_path: Path, draws: int, bad: int, fails: bool
) -> None:
    faulty = Overflowing(vae, bad=tuple(range(bad)))
    if not fails:
        job = make(tmp_path, draws=draws, sources=faulty, **ONE_UNIT)
        assert sum(record.dropped.get("draw/not_finite", 0) for record in read_records(job.out)) == bad
        return
    with pytest.raises(NotFiniteError, match=rf"^{bad} of .*latent of the VAE in float32: NaN\).*give .*-fp16-fix"):
        make(tmp_path, draws=draws, sources=faulty, **ONE_UNIT)
    assert not any(path for name in ("units", "shards", "index", "drops/units") for path in tmp_path.glob(f"{name}/*"))
    assert sum(record.samples for record in read_records(make(tmp_path, draws=draws, **ONE_UNIT).out)) == 7 * draws


def test_a_unit_whose_only_sample_is_not_finite_fails(make: Make, vae: VaeEncoder, tmp_path: Path) -> None:
    with pytest.raises(NotFiniteError, match="1 of 1 samples are not finite"):
        make(tmp_path, draws=1, limit=1, sources=Overflowing(vae, bad=(0,)))


def test_a_vector_that_passes_what_float16_holds_is_found_as_it_would_be_stored(
    make: Make, clip: ClipEncoder, tmp_path: Path
) -> None:
    tower = copy.deepcopy(clip.model)
    getattr(tower, "vision_model", tower).post_layernorm.weight.data.mul_(1e6)
    with pytest.raises(NotFiniteError, match="exemplar of the exemplar encoder in float32: inf"):
        make(tmp_path, exemplars=replace(clip, model=tower), **ONE_UNIT)


def test_a_picture_that_is_not_finite_spoils_none_beside_it(vae: VaeEncoder) -> None:
    images = signed(np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8))
    spoilt = images.clone()
    spoilt[1] = torch.nan
    sound, found = vae.encode(images), vae.encode(spoilt)
    assert np.isnan(found[1]).all()
    assert np.array_equal(sound[[0, 2]], found[[0, 2]])


def test_pairs_whose_latents_pass_what_float16_holds_end_without_a_record_and_say_what_to_try(
    vae: VaeEncoder, jpeg: Jpeg, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copy.deepcopy(vae.model)
    model.register_to_config(scaling_factor=1e7)
    model.save_pretrained(tmp_path / "vae")
    pairs = write_pairs(tmp_path / "own", jpeg, names=("a", "b"))
    flags = ("--vae", str(tmp_path / "vae"), "--split-shares", "1", "0", "0")
    assert make_pairs(pairs, tmp_path / "out", *flags) == 1
    assert (
        "latent of the VAE in float32: inf" in (said := capsys.readouterr().out)
        and "give one whose numbers fit float16" in said
    )
    assert not list((tmp_path / "out/units").glob("*"))
