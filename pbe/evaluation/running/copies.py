"""Copies: a bench -> what its copy-paste scores are held against. Imports no torch."""

import json
from collections.abc import Sequence

from tqdm import tqdm

from pbe.editing.case import Case
from pbe.evaluation.bench.cases import open_case
from pbe.evaluation.bench.digests import Digests
from pbe.evaluation.bench.limits import choose
from pbe.evaluation.copying.mismatched import CopyCase, null_scores, paste_score, threshold
from pbe.evaluation.copying.score import Exemplar, Region, reduce_exemplar, reduce_region
from pbe.evaluation.running.comparison import Comparison
from pbe.evaluation.running.output import CACHE
from pbe.evaluation.running.summing import CopyFacts
from pipeline.errors import InputError

VERSION = 1  # raised whenever the same bench would get other facts
KEPT = f"{CACHE}/copies.json"
MOST_CASES = 1000  # whose holes and exemplars are paired
MOST_PASTES = 300
NOTHING = CopyFacts(None, None, None, 0)


def copies_of(comparison: Comparison, digests: Digests) -> CopyFacts:
    """Measure unrelated pairs and pasted exemplars of a bench, once for an output.

    Args:
        digests: of the bench's files; cases that share one are no unrelated pair.
    """
    if comparison.bench.shares_exemplar:
        return NOTHING
    out, of = comparison.out, {"bench": comparison.digest, "version": VERSION}
    try:
        kept = json.loads(out.read_if_there(KEPT) or b"{}")
        if kept.get("of") == of:
            return CopyFacts(**kept["facts"])
    except (ValueError, TypeError, KeyError, AttributeError):  # torn: measured again
        pass
    facts = _measure(comparison.bench.cases, digests)
    out.write_json(KEPT, {"of": of, "facts": vars(facts)})
    return facts


def _measure(cases: Sequence[Case], digests: Digests) -> CopyFacts:
    names = [case.name for case in cases]
    chosen = [cases[number] for number in choose(names, limit=MOST_CASES, seed=0)]
    pasting = {names[number] for number in choose(names, limit=MOST_PASTES, seed=0)}
    reduced, pastes = [], []
    for case in tqdm(chosen, desc="copies: unrelated pairs", unit="case", leave=False):
        try:
            opened = open_case(case)
        except InputError:  # a failed case of every row, which says why
            continue
        region = reduce_region(opened.source, opened.mask)
        exemplar = reduce_exemplar(opened.exemplar, opened.exemplar_mask)
        if isinstance(region, Region) and isinstance(exemplar, Exemplar):
            reduced.append(CopyCase(case.name, [region], exemplar, frozenset(digests[case.name].values())))
        if case.name in pasting:
            pasted = paste_score(opened.source, opened.mask, opened.exemplar, opened.exemplar_mask).value
            pastes += [] if pasted is None else [pasted]
    null = null_scores(reduced)
    return CopyFacts(
        threshold=threshold(null),
        unrelated=float(null.mean()) if len(null) else None,
        pasted=sum(pastes) / len(pastes) if pastes else None,
        pairs=len(null),
    )
