"""A training's config, and what of it reaches the feed."""

from dataclasses import fields, replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbe.feed.config import FeedConfig
from pbe.training.config import PRESETS, TrainConfig, feed_config, learning_rate, switched
from pipeline.errors import InputError

OWN = {"split", "draws"}  # of the feed, which no flag of a training sets


@pytest.mark.parametrize("preset", PRESETS)
def test_the_feed_has_every_setting_of_the_training(preset: str) -> None:
    config = replace(PRESETS[preset], seed=7, cache="/cache", cache_gb=3.0, workers=5, check_hashes=True)
    feed = feed_config(config)
    assert {field.name for field in fields(FeedConfig)} - {field.name for field in fields(TrainConfig)} == OWN | {
        "masks"
    }
    assert feed.split == "train"
    for field in fields(FeedConfig):
        if field.name not in OWN | {"exemplar"}:
            assert getattr(feed, field.name) == getattr(config, field.name)


@pytest.mark.parametrize(
    ("switches", "exemplar", "masks", "drop_share"),
    [
        ({}, "cached", "drawn", 0.2),
        ({"exemplar": "live"}, "live", "drawn", 0.2),
        ({"bottleneck": False}, "live", "drawn", 0.2),
        ({"augmentation": False}, "plain", "box", 0.2),
        ({"guidance_drop": False}, "cached", "drawn", 0.0),
        ({"naive": True}, "plain", "box", 0.0),
    ],
)
def test_the_papers_switches_decide_what_the_feed_reads(
    switches: dict[str, bool], exemplar: str, masks: str, drop_share: float
) -> None:
    feed = feed_config(switched(replace(PRESETS["smoke"], **switches)))
    assert (feed.exemplar, feed.masks, feed.drop_share) == (exemplar, masks, drop_share)


def test_the_paper_keeps_a_moving_average_and_one_small_gpu_does_not() -> None:
    assert {name: config.ema for name, config in PRESETS.items()} == {
        **dict.fromkeys(("tiny", "smoke", "24gb"), 0.0),
        "paper": 0.9999,
    }


def test_weights_are_chosen_only_where_some_are_read() -> None:
    with pytest.raises(InputError, match=r"--weights ema: give --init-from"):
        TrainConfig(weights="ema")
    assert TrainConfig(weights="ema", init_from="model").weights == "ema"


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_tf32_is_refused_where_nothing_is_multiplied_in_fp32(dtype: Literal["bf16", "fp16"]) -> None:
    with pytest.raises(InputError, match=rf"--tf32 .*--dtype {dtype}"):
        TrainConfig(dtype=dtype, tf32=True)


@given(st.integers(0, 30), st.integers(1, 30))
def test_after_the_warm_up_the_learning_rate_stays_or_falls_to_nothing_at_the_last_step(warmup: int, more: int) -> None:
    constant = TrainConfig(lr=0.3, warmup_steps=warmup, steps=warmup + more)
    rates, falling = (
        [learning_rate(config, step) for step in range(1, config.steps + 1)]
        for config in (constant, replace(constant, lr_schedule="cosine"))
    )
    assert rates == [0.3 * min(1.0, step / max(1, warmup)) for step in range(1, len(rates) + 1)]
    assert falling[:warmup] == rates[:warmup]
    assert falling[-1] == 0 and falling[warmup:] == sorted(falling[warmup:], reverse=True)
    left = [0.3, *falling[warmup:]]
    assert [a + b for a, b in zip(left, left[::-1], strict=True)] == pytest.approx([0.3] * len(left))  # half a cosine


def test_a_learning_rate_that_falls_after_the_warm_up_needs_steps_after_it() -> None:
    with pytest.raises(InputError, match="--lr-schedule cosine falls after the warm-up: give --steps above 60"):
        TrainConfig(lr_schedule="cosine", warmup_steps=60)
