"""Objective: timesteps and masks -> by how much each sample, and each cell of a latent, counts in what is minimised.

Paper: equally. Otherwise by the min-SNR weights of Hang et al. 2023 (arXiv 2303.09556) and by the hole.
"""

from dataclasses import dataclass

import torch

from pbe.model.prediction import Prediction
from pbe.model.schedule import Schedule


@dataclass(frozen=True)
class Objective:
    """What a training minimises, of each sample the weighted mean of squared errors of what the UNet predicts.

    Args:
        prediction: what that is.
        min_snr: gamma of the min-SNR weights; 0: every timestep counts alike.
        hole_weight: of the hole's cells against the others'; 1: every cell counts alike.
    """

    prediction: Prediction = "epsilon"
    min_snr: float = 0.0
    hole_weight: float = 1.0

    def timestep_weights(self, timesteps: torch.Tensor, schedule: Schedule) -> torch.Tensor:
        """Weigh timesteps [b] -> [b] float32 in (0, 1]; all 1 without min-SNR.

        For SNR = alpha bar / (1 - alpha bar): min(SNR, gamma) / SNR of the noise, min(SNR, gamma) / (SNR + 1) of the
        velocity, which both are the error of x_0, weighted by min(SNR, gamma).
        """
        alpha_bar = schedule.alpha_bar(timesteps)
        if not self.min_snr:
            return torch.ones_like(alpha_bar)
        snr = alpha_bar / (1 - alpha_bar)
        return snr.clamp(max=self.min_snr) / (snr + 1 if self.prediction == "v" else snr)

    def cell_weights(self, masks: torch.Tensor) -> torch.Tensor:
        """Weigh the cells of latents by masks [b, 1, h, w] (1 = repaint) -> [b, 1, h, w], 1 outside the hole."""
        return 1 + (self.hole_weight - 1) * masks


PAPER = Objective()
"""The paper's: the mean squared error of the noise."""
