"""Names: which config may bear which name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbe.evaluation.metrics.encoders.names import PAPER_ENCODER, clip_name, vit_name
from pipeline.encoders.libraries import transformers

VIT_B_32 = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 32,
    "image_size": 224,
    "hidden_act": "quick_gelu",
}


def test_the_config_of_openais_vit_b_32_bears_the_papers_name() -> None:
    assert clip_name(VIT_B_32, 512) == PAPER_ENCODER
    assert clip_name({"patch_size": 32, "projection_dim": 512}, 512) == PAPER_ENCODER  # as old configs are, with gaps
    assert clip_name(transformers.CLIPVisionConfig().to_dict(), 512) == PAPER_ENCODER


@given(st.sampled_from([*VIT_B_32, "projection"]), st.integers(1, 4096))
def test_no_other_shape_bears_it(key: str, value: int) -> None:
    changed = {**VIT_B_32, "projection": 512, key: "gelu" if key == "hidden_act" else value}
    same = changed == {**VIT_B_32, "projection": 512}
    assert (clip_name(changed, changed.pop("projection")) == PAPER_ENCODER) == same


@pytest.mark.parametrize(
    ("changes", "projection", "name"),
    [
        ({"patch_size": 16}, 512, "CLIP ViT-B/16"),
        ({"hidden_act": "gelu"}, 512, "CLIP ViT-B/32 (gelu)"),  # LAION's
        (
            {
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "patch_size": 14,
                "image_size": 336,
            },
            768,
            "CLIP ViT-L/14 at 336 px",
        ),
        ({"hidden_size": 32, "num_hidden_layers": 2}, 16, "CLIP ViT-32x2-16/32"),
    ],
)
def test_other_clips_have_names_of_their_own(changes: dict[str, Any], projection: int, name: str) -> None:
    assert clip_name({**VIT_B_32, **changes}, projection) == name


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (
            {"model_type": "vit", "hidden_size": 384, "num_attention_heads": 6, "patch_size": 16},
            "ViT-S/16 (dino-vits16)",
        ),
        ({"model_type": "dinov2", "patch_size": 14}, "DINOv2 ViT-B/14"),
        (
            {
                "model_type": "dinov2_with_registers",
                "hidden_size": 1024,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
            },
            "DINOv2 with registers ViT-L/14",
        ),
        ({"model_type": "dinov3_vit", "hidden_size": 99}, "DINOv3 ViT-99x12/16"),
    ],
)
def test_a_vision_transformer_is_named_by_family_and_size(config: dict[str, Any], name: str) -> None:
    assert vit_name(config, "dino-vits16") == name
