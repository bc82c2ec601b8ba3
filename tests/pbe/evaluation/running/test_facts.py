"""What a reader must be told about the numbers."""

from pbe.evaluation.metrics.encoders.names import PAPER_ENCODER
from pbe.evaluation.running.facts import warn_of_encoders


def test_only_the_papers_encoder_in_the_first_place_needs_no_warning() -> None:
    assert warn_of_encoders([]) == warn_of_encoders([PAPER_ENCODER, "EfficientNet-Lite0"]) == []
    [alone], [beside] = (warn_of_encoders(["EfficientNet-Lite0", *more]) for more in ([], [PAPER_ENCODER]))
    assert "EfficientNet-Lite0, not of CLIP ViT-B/32: no number here is comparable" in alone
    assert "its distance is not comparable" in beside


def test_an_untrained_encoder_is_warned_of_in_any_place() -> None:
    untrained = f"untrained {PAPER_ENCODER}"
    for names, count in (([untrained], 2), ([PAPER_ENCODER, untrained], 1), (["ViT", untrained], 2)):
        said = warn_of_encoders(names)
        assert len(said) == count and f"{untrained} has learned nothing" in said[-1]
