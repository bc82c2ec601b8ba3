"""Similar: stored exemplar vectors -> similarity search, near-duplicates and a map of them, by fiftyone.brain.

The vectors are those that the trainer sees, of augmented exemplars. Nothing is downloaded.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dashboards.app.documents import sample_id
from dashboards.config import MapKind
from dashboards.pictures import SampleError, read_vector
from dashboards.rows import READERS, Progress
from pipeline.storage.folder import Folder

SEARCH, MAP, DUPLICATES = "exemplar_similarity", "exemplar_map", "near-duplicate exemplars"
NEAR = 0.02  # cosine distance


def read_vectors(
    folder: Folder, rows: pa.Table, *, progress: Progress = lambda rows: None
) -> tuple[list[int], NDArray[np.float32], list[str]]:
    """Read the stored exemplar vectors of samples, a range request each.

    Returns:
        The places of the rows that have one, the vectors [n, d], and why the others have none.
    """
    wanted = rows.select(["shard", "members", "key"]).to_pylist()

    def read(row: Any) -> Any:
        try:
            return read_vector(folder, row)
        except SampleError as error:
            return str(error)

    places, vectors, faults = list[int](), [], []
    with ThreadPoolExecutor(READERS) as pool:
        for place, vector in enumerate(pool.map(read, wanted)):
            if isinstance(vector, str):
                faults.append(vector)
            elif not np.isfinite(vector).all() or not np.any(vector):
                faults.append(f"{wanted[place]['key']}: its vector is zero or not finite")
            else:
                places.append(place)
                vectors.append(vector)
            progress(place + 1)
    return places, np.array(vectors, np.float32), faults


def add_similarity(dataset: Any, keys: Sequence[str], vectors: NDArray[np.float32], *, kind: MapKind) -> int:
    """Add similarity search, a saved view of near-duplicates, and a map of the exemplars.

    Args:
        dataset: grouped, with these samples.
        keys: of the samples that have vectors.
        vectors: [n, d].
        kind: of the map.

    Returns:
        The number of samples with a near-duplicate.
    """
    import fiftyone.brain as fob

    for name in (SEARCH, MAP):
        if name in dataset.list_brain_runs():
            dataset.delete_brain_run(name)
    if len(keys) < 3:  # nothing to compare
        return 0
    ids = [sample_id(dataset.name, key, "source") for key in keys]
    view = dataset.select_group_slices("source").select(ids, ordered=True)
    index = fob.compute_similarity(
        view, embeddings=vectors, brain_key=SEARCH, backend="sklearn", metric="cosine", progress=False
    )
    fob.compute_visualization(
        view, embeddings=vectors, method=kind, num_dims=2, brain_key=MAP, seed=0, verbose=False, progress=False
    )
    index.find_duplicates(thresh=NEAR)
    ids_in_pairs = [place for first, found in index.neighbors_map.items() for place in (first, *(i for i, _ in found))]
    pairs = dataset.select_group_slices("source").select(list(dict.fromkeys(ids_in_pairs)), ordered=True)
    dataset.save_view(DUPLICATES, pairs, description=f"cosine distance below {NEAR:g}", overwrite=True)
    return len(set(ids_in_pairs))
