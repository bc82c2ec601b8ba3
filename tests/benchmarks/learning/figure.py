"""Figure of the learning benchmark: an ExemplarUse -> losses by condition, and ratios with their intervals."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from pbe.evaluation.exemplar_use import OTHER, SAME_CLASS, UNCONDITIONAL, ExemplarUse

COLOURS = {OTHER: "#c0392b", SAME_CLASS: "#e08e0b", UNCONDITIONAL: "#2d6a9f"}
LABELS = {
    OTHER: "another photo's exemplar",
    SAME_CLASS: "another photo's exemplar, same class",
    UNCONDITIONAL: "no exemplar (unconditional)",
}
GOAL, GOAL_PLACE = 1.3, 2  # of another photo's exemplar at the third timestep
APART = 0.26  # of the space between timesteps


def draw_figure(path: Path, use: ExemplarUse, *, title: str) -> None:
    """Draw, for each timestep, loss / loss with the right exemplar, with 95 % intervals."""
    figure, axes = plt.subplots(figsize=(7.2, 3.8), layout="constrained")
    places = np.arange(len(use.timesteps))
    for number, condition in enumerate(LABELS):
        ratios = [use.ratio(condition, at) for at in use.timesteps]
        values = np.array([ratio.value for ratio in ratios])
        spread = np.array([[ratio.value - ratio.low, ratio.high - ratio.value] for ratio in ratios]).T
        label = f"{LABELS[condition]}, {use.photos(condition)} photos"
        at = places + APART * (number - 1)
        axes.errorbar(at, values, yerr=spread, fmt="o", capsize=3, color=COLOURS[condition], label=label)
        for x, value in zip(at, values, strict=True):
            axes.annotate(f"{value:.2f}", (x, value), (5, 0), textcoords="offset points", fontsize=7, va="center")
    axes.axhline(1, color="#555555", linewidth=1, linestyle=":")
    axes.text(-0.45, 1.004, "1: the exemplar is ignored", fontsize=7, color="#555555", va="bottom")
    ends = GOAL_PLACE - 1.6 * APART, GOAL_PLACE - 0.4 * APART
    axes.plot(ends, [GOAL, GOAL], color=COLOURS[OTHER], linewidth=1.2, linestyle="--")
    axes.text(ends[0], GOAL, f"goal {GOAL} ", fontsize=7, color=COLOURS[OTHER], ha="right", va="center")
    axes.set_xticks(places, [f"t = {at}" for at in use.timesteps])
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_xlabel("timestep, of 1,000: the greater, the more noise")
    axes.set_ylabel("loss in the hole / that with the right exemplar")
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=7, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
