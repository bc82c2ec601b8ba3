"""Scorer: opened cases and pictures -> rows of SCORES, by the encoders that there are, with which torch comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pbe.editing.records import digest_input
from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.config import EvaluateConfig
from pbe.evaluation.copying.score import copy_paste_score
from pbe.evaluation.metrics.clip_score import clip_scores
from pbe.evaluation.metrics.colour import exemplar_colour_distance
from pbe.evaluation.metrics.encoders.names import PAPER_ENCODER
from pbe.evaluation.metrics.encoders.protocol import Features
from pbe.evaluation.metrics.encoders.specs import check_encoder
from pbe.evaluation.metrics.feature_cache import CachedEncoder
from pbe.evaluation.metrics.outside import compare_outside
from pbe.evaluation.metrics.seam import seam_ratio
from pbe.evaluation.metrics.sets.mixture import Mixture, log_likelihoods, quality_of, read_mixture
from pbe.evaluation.metrics.similarity import exemplar_similarities
from pbe.evaluation.running.comparison import Comparison
from pbe.evaluation.running.editing import MadePart
from pbe.evaluation.running.opening import options_of
from pbe.evaluation.running.output import CACHE
from pipeline.arrays import Pixels
from pipeline.errors import InputError
from pipeline.storage.folder import Folder
from pipeline.storage.urls import absolute, is_local
from schemas.scores import picture_path

FEATURES = f"{CACHE}/features"
VERSION = 2  # raised whenever the same pictures would get other scores


@dataclass(frozen=True)
class Scorer:
    """Scores pictures.

    Args:
        encoders: each gives an exemplar similarity; the first is that of the Fréchet distance and of the mixture.
        mixture: of real features of the first encoder; None: there is no QS. `mixture_digest` is its file's.
        shares_exemplar: the exemplar is cut out of the ground truth, so that a copy is no fault: no copy-paste score.
    """

    encoders: tuple[CachedEncoder, ...]
    mixture: Mixture | None
    mixture_digest: str
    shares_exemplar: bool

    @property
    def settings(self) -> dict[str, Any]:
        """What decides scores besides the pictures."""
        return {
            "version": VERSION,
            "encoders": {encoder.name: encoder.digest for encoder in self.encoders},
            "mixture": self.mixture_digest,
            "copy_paste": not self.shares_exemplar,
        }

    def flush(self) -> None:
        """Keep the features that were computed."""
        for encoder in self.encoders:
            encoder.flush()

    def score(self, made: MadePart) -> list[dict[str, Any]]:
        """Score a part: a row for each case and row of the table, also for cases that failed."""
        rows = []
        for variant, name in made.part.rows.items():
            done = [case.name for case in made.part.cases if case.name in made.pictures]
            scores = dict(zip(done, self._score(made, done, variant), strict=True))
            for case in made.part.cases:
                picture = picture_path(name, case.name) if case.name in scores else ""
                rows.append(
                    {
                        "row": name,
                        "method": made.part.called,
                        "case": case.name,
                        "label": case.label,
                        "guidance": made.part.guidance,
                        "seed": case.seeds[0],
                        "picture": picture,
                        "failed": made.record.failed.get(case.name, ""),
                        **scores.get(case.name, {}),
                    }
                )
        return rows

    def _score(self, made: MadePart, names: Sequence[str], variant: str) -> list[dict[str, Any]]:
        """Score one picture of each of these cases."""
        if not names:
            return []
        cases = [made.cases[name] for name in names]
        results = [made.pictures[name][variant] for name in names]
        copies = not self.shares_exemplar
        scores = [_plain_scores(case, result, copies=copies) for case, result in zip(cases, results, strict=True)]
        masks, exemplars = [case.mask for case in cases], [case.exemplar for case in cases]
        for encoder in self.encoders:
            found = exemplar_similarities(encoder, results, masks, exemplars)
            for score, similarity in zip(scores, found, strict=True):
                if similarity.value is not None:
                    score["similarity"].append((encoder.name, similarity.value))
            if encoder.name == PAPER_ENCODER:
                for score, clip in zip(scores, clip_scores(encoder, results, masks, exemplars), strict=True):
                    score["clip_score_official"], score["clip_score_fixed"] = clip.official.value, clip.fixed.value
        if self.encoders:
            features = self.encoders[0].encode(results)  # also those that only the Fréchet distance needs, later
            for score, quality in zip(scores, self._quality(features), strict=True):
                score["quality"] = quality
        return scores

    def _quality(self, features: Features) -> list[float | None]:
        """Score features [n, d] by the mixture; None: there is none, or a feature is not finite."""
        finite = np.array([np.isfinite(each).all() for each in features])
        if not self.mixture or not finite.any():
            return [None] * len(features)
        found = iter(quality_of(log_likelihoods(self.mixture, features[finite])))
        return [float(next(found)) if sound else None for sound in finite]


def _plain_scores(case: OpenedCase, result: Pixels, *, copies: bool) -> dict[str, Any]:
    """Score a picture by what needs no encoder."""
    outside = compare_outside(case.source, result, case.mask)
    copied = copy_paste_score(result, case.mask, case.exemplar, case.exemplar_mask) if copies else None
    return {
        "similarity": [],
        "exemplar_colour": exemplar_colour_distance(result, case.mask, case.exemplar, case.exemplar_mask),
        "copy_paste": copied.value if copied else None,
        "outside_exact": outside.exact,
        "outside_psnr": outside.psnr_db,
        "outside_ssim": outside.ssim,
        "outside_colour": outside.colour,
        "seam": seam_ratio(result, case.mask).value,
    }


def open_scorer(config: EvaluateConfig, comparison: Comparison) -> Scorer:
    """Open encoders and mixture, with the features that are kept beside the evaluation.

    Raises:
        InputError: one cannot be opened, or the mixture is of another encoder.
    """
    if not config.features:
        return Scorer((), None, "", comparison.bench.shares_exemplar)
    from pbe.evaluation.metrics.encoders.opening import open_encoder

    options = options_of(config)
    kept = Folder(f"{comparison.out.url}/{FEATURES}")
    encoders = tuple(
        CachedEncoder(open_encoder(spec, device=options.device, dtype="float32"), kept) for spec in config.features
    )
    refuse_namesakes(config.features, [encoder.name for encoder in encoders])
    mixture, digest = None, ""
    if config.mixture:
        mixture = read_mixture(absolute(config.mixture), encoder=encoders[0].name, digest=encoders[0].digest)
        digest = digest_input(config.mixture, "--mixture")
    return Scorer(encoders, mixture, digest, comparison.bench.shares_exemplar)


def refuse_namesakes(specs: Sequence[str], names: Sequence[str]) -> None:
    """Refuse encoders whose scores would stand under one name.

    Raises:
        InputError: two have one.
    """
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InputError(f"--features {specs[names.index(name)]} {specs[place]}: both are called {name}; give one")


def check_encoders(config: EvaluateConfig) -> None:
    """Refuse flags of encoders that cannot be, before torch is imported.

    Raises:
        InputError: naming the flag.
    """
    refuse_namesakes(config.features, [check_encoder(spec) for spec in config.features])
    for flag, value in (("--real", config.real), ("--mixture", config.mixture)):
        if value and not config.features:
            raise InputError(f"{flag} {value}: needs an encoder of features; give --features, such as clip=DIR")
        if value and is_local(value) and not Path(absolute(value)).exists():
            raise InputError(f"{flag} {value}: there is no such file or folder")
