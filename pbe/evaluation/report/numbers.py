"""Numbers: a metric's value -> text, rounded as the metric is told; equal values give equal text."""

from pbe.evaluation.summary import Mean, Metric
from schemas.scores import SIMILARITY

NOTHING = "\N{EN DASH}"
EXACT = "exact"
INTERVALS = "95 % intervals over cases: bootstrap, of fewer than 10 cases Student's, of rates Wilson's."
SHARES = ("copied", "outside_exact")
PLACES = {
    "frechet": 2,
    "clip_score_official": 2,
    "clip_score_fixed": 2,
    "exemplar_colour": 1,
    "quality": 2,
    "copy_paste": 3,
    "outside_psnr": 2,
    "outside_ssim": 4,
    "outside_colour": 2,
    "seam": 3,
}
ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}", "neither": ""}


def value_text(key: str, value: float | None) -> str:
    """Write a value of a metric; shares in percent.

    Args:
        key: of the metric, as in `Metric`.
    """
    if value is None:
        return NOTHING
    if key in SHARES:
        return f"{round(100 * value, 1) + 0.0:.1f}%"
    places = 3 if key.startswith(SIMILARITY) else PLACES.get(key)
    if places is None:
        return f"{value + 0.0:.4g}"
    return f"{round(value, places) + 0.0:.{places}f}"  # + 0.0: no minus before a zero


def interval_text(key: str, mean: Mean) -> str:
    """Write a mean's 95 % interval as `[low, high]`; empty where it has none."""
    if mean.low is None or mean.high is None:
        return ""
    return f"[{value_text(key, mean.low)}, {value_text(key, mean.high)}]"


def signed_text(key: str, value: float) -> str:
    """Write a difference, with its sign."""
    text = value_text(key, value)
    return text if text.startswith("-") or value_text(key, 0.0) == text else f"+{text}"


def heading(metric: Metric) -> str:
    """Write a metric's title with an arrow to what is better."""
    return f"{metric.title} {ARROWS[metric.better]}".strip()
