"""LaMa, paste, harmonise: cases -> edited pictures without any generator: the paper's baseline of image composition.

LaMa inpaints the hole, the exemplar's object is cut out and pasted into it, and DCCF fits its colours to what is around
(section 4.2 of Paint by Example). Where DCCF is not given, Reinhard's colour transfer takes its place, and where rembg
is not installed, GrabCut; both are said to.
"""

from collections.abc import Sequence
from dataclasses import astuple
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pbe.editing.canvas import Aims, crop_for_editing
from pbe.evaluation.bench.cases import OpenedCase
from pbe.evaluation.copying.harmonising import harmonise_reinhard
from pbe.evaluation.copying.pasting import paste_object
from pbe.evaluation.methods.cutting_out import find_cutter
from pbe.evaluation.methods.protocol import CaseError, Edited, MethodOptions
from pbe.evaluation.methods.scripted import ScriptedPainter, refuse_unscripted
from pbe.evaluation.methods.untrained import note_untrained_scripts
from pbe.evaluation.methods.weight_digests import digest_files
from pipeline.arrays import Hole, Pixels
from pipeline.errors import InputError

# What LaMa sees: a crop of this size where the hole then takes such shares of its side. It was not trained by us.
CONTEXT_PX, SHARES = 512, Aims(1 / 8, 1 / 2)


class LamaPasteHarmonise:
    """LaMa, paste, harmonise. Nothing outside the mask changes.

    Args:
        files: `LAMA[,DCCF]`, both of TorchScript: see `ScriptedPainter`; LaMa's mask is the hole, DCCF's what was
            pasted.
    """

    def __init__(self, name: str, files: str, options: MethodOptions) -> None:
        self.name, self._options = name, options
        lama, _, dccf = files.partition(",")
        self._lama = ScriptedPainter(lama, "LaMa", device=options.device)
        self._dccf = ScriptedPainter(dccf, "DCCF", device=options.device) if dccf else None
        self._cutter = find_cutter()

    def available(self) -> str:
        try:
            refuse_unscripted(self._lama.file, "LaMa")
            if self._dccf:
                refuse_unscripted(self._dccf.file, "DCCF")
        except InputError as error:
            return str(error)
        return ""

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """How objects are cut out and harmonised: what stands in for LaMa, rembg and DCCF is called by its name."""
        if self.available():
            return self._how
        scripts = {"LaMa": Path(self._lama.file), **({"DCCF": Path(self._dccf.file)} if self._dccf else {})}
        return (*self._how, *note_untrained_scripts(scripts, cache=self._options.cache))

    @property
    def _how(self) -> tuple[str, ...]:
        return (
            f"objects cut out by their masks where given, else by {self._cutter.name}",
            f"harmonised by {'DCCF' if self._dccf else 'Reinhard colour transfer, not DCCF'}",
        )

    @cached_property
    def settings(self) -> dict[str, Any]:
        if self.available():
            return {}
        files = [Path(self._lama.file), *([Path(self._dccf.file)] if self._dccf else [])]
        files += [self._cutter.model] if self._cutter.model else []
        weights = digest_files(files, cache=self._options.cache)
        return {"weights": weights, "notes": list(self._how), "context": list(astuple(SHARES))}

    def edit(self, cases: Sequence[OpenedCase]) -> Sequence[Edited]:
        return [self._edit(case) for case in cases]

    def end(self) -> None:
        """Let go of the networks."""
        for painter in (self._lama, self._dccf):
            if painter:
                painter.drop()

    def _edit(self, case: OpenedCase) -> Pixels | CaseError:
        left, top, right, bottom = crop_for_editing(case.mask, CONTEXT_PX, aims=SHARES).box
        part, hole = case.source[top:bottom, left:right], case.mask[top:bottom, left:right]
        outline = self._cutter.cut(case.exemplar) if case.exemplar_mask is None else case.exemplar_mask
        if not outline.any():
            return CaseError("its exemplar's object cannot be cut out: nothing is left")
        try:
            filled = np.where(hole[..., None], self._lama(part, hole), part)
            edited = case.source.copy()
            edited[top:bottom, left:right] = self._compose(filled, hole, case.exemplar, outline)
        except CaseError as error:
            return error
        return edited

    def _compose(self, filled: Pixels, hole: Hole, exemplar: Pixels, outline: Hole) -> Pixels:
        """Paste an object into a hole that was filled, and fit its colours to what is around."""
        pasted, where = paste_object(filled, hole, exemplar, outline)
        harmonised = self._dccf(pasted, where) if self._dccf else harmonise_reinhard(pasted, where)
        return np.where(where[..., None], harmonised, pasted)
