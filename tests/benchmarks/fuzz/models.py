"""Models: mutated folders and checkpoints -> a finite picture or tensors, or the fault by name.

A folder in each form of weights has bytes of a file changed or cut off, a number of a config or an entry of an index
changed, tensors swapped, renamed or set to NaN, or files swapped or lost; then a picture is edited with it. Checkpoints
of the original code, before and after torch 1.6, have bytes changed, of all or of the pickle alone, and start a model.
A flipped bit that leaves a number finite is another weight: nobody can tell, and the model loads.
"""

import io
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from pbe.editing.editor import edit, load_editor
from pbe.weights.building import initialise
from pbe.weights.reading import read_weights
from pipeline.errors import InputError
from tests.benchmarks.fuzz.mutations import Mutation, delete_block, duplicate_block, flip_bits, mutate, splice, truncate
from tests.benchmarks.fuzz.running import Subject
from tests.pbe.conftest import LDM_SIZE, random_model, tiny_config
from tests.pbe.editing.tiny_model import random_picture, write_model
from tests.pbe.weights.forms import FORMS, rewrite_part
from tests.pbe.weights.ldm_names import ldm_conditioner, ldm_unet

PARTS = ("unet", "vae", "image_encoder")
BOUND_BYTES = 2 << 30
ODD_VALUES = (0, -1, 1, 3, 7.5, 1e30, 2**40, None, True, "", "x", [], {}, [1, 2, 3], "relu", float("nan"))
REASONS = {  # what a refusal says -> its row in the table
    "weights not finite": r"tensors hold numbers that are NaN or infinite",
    "result not finite": r"not finite",
    "file damaged": r"cannot be read as tensors|not a complete safetensors|no named tensors|cannot be read",
    "index": r"index\S*: ",
    "tensors do not fit": r"does not fit this model|no tensor is named|has no place in|queries, keys|without being",
    "config": r"does not describe|is not a|class|model type|prediction|beta|num_train|such as 512|multiple of",
    "part missing": r"has no|holds no|no weights there|no config|cannot edit by example",
    "parts do not go together": r"paints latents of|takes exemplar vectors",
}


def subjects(inputs: int, seed: int, folder: Path | None) -> list[Subject]:
    """Mutate small random models, or the folders in a folder."""
    scratch = Path(tempfile.mkdtemp())
    bases = sorted(folder.iterdir()) if folder else _write_folders(scratch)
    checkpoints = [path.read_bytes() for path in _write_checkpoints(scratch)]

    def write_folder(number: int, place: Path) -> None:
        rng = np.random.default_rng([seed, number])
        shutil.copytree(bases[rng.integers(len(bases))], place)
        CHANGES[rng.integers(len(CHANGES))](rng, place)

    def write_checkpoint(number: int, place: Path) -> None:
        place.mkdir()
        rng, file = np.random.default_rng([seed, number, 1]), place / "model.ckpt"
        if number % 2:
            file.write_bytes(mutate(rng, MUTATIONS, checkpoints))
        else:
            _change_pickle(rng, checkpoints[0], file)

    return [
        Subject("model folders", inputs, write_folder, try_folder, BOUND_BYTES),
        Subject("checkpoints", inputs // 4, write_checkpoint, try_checkpoint, BOUND_BYTES),
    ]


def try_folder(folder: Path) -> str:
    """Edit a picture with a model's folder.

    Returns:
        `picture`, or the kind of refusal.
    """
    try:
        editor = load_editor(str(folder))
        mask = np.zeros((24, 24), bool)
        mask[6:18, 6:18] = True
        edit(editor, random_picture(24, 24), mask, random_picture(20, 30, seed=1), steps=2, guidance=2)
    except InputError as error:
        return _reason(str(error))
    return "picture"


def try_checkpoint(folder: Path) -> str:
    """Start a model from a checkpoint.

    Returns:
        `weights`, or the kind of refusal.
    """
    model = random_model(tiny_config(size=LDM_SIZE))
    try:
        initialise(model, read_weights(str(folder / "model.ckpt")))
    except InputError as error:
        return _reason(str(error))
    if not all(torch.isfinite(value).all() for value in model.state_dict().values()):
        raise AssertionError("weights that are not finite were taken")
    return "weights"


def _reason(message: str) -> str:
    assert "\n" not in message and len(message) < 2000, message
    return next((reason for reason, pattern in REASONS.items() if re.search(pattern, message)), f"other: {message}")


def change_bytes(rng: np.random.Generator, folder: Path) -> None:
    file = _pick(rng, folder, "*.*")
    file.write_bytes(mutate(rng, MUTATIONS, [file.read_bytes()]))


def flip_one_bit(rng: np.random.Generator, folder: Path) -> None:
    file = _pick(rng, folder, "*.*")
    content = bytearray(file.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    file.write_bytes(content)


def cut(rng: np.random.Generator, folder: Path) -> None:
    file = _pick(rng, folder, "*.*")
    content = file.read_bytes()
    file.write_bytes(content[: rng.integers(len(content))])


def lose_a_file(rng: np.random.Generator, folder: Path) -> None:
    _pick(rng, folder, "*.*").unlink()


def swap_files(rng: np.random.Generator, folder: Path) -> None:
    one, two = _pick(rng, folder, "*.*"), _pick(rng, folder, "*.*")
    one_content, two_content = one.read_bytes(), two.read_bytes()
    one.write_bytes(two_content)
    two.write_bytes(one_content)


def change_config(rng: np.random.Generator, folder: Path) -> None:
    """Change, add or take out values of a config or an index, at any depth."""
    file = _pick(rng, folder, "*.json")
    content = json.loads(file.read_text())
    for _ in range(rng.integers(1, 4)):
        inner = content
        while isinstance(inner, dict) and inner:
            key = list(inner)[rng.integers(len(inner))]
            if not isinstance(inner[key], dict) or rng.random() < 0.3:
                _change_entry(rng, inner, key)
                break
            inner = inner[key]
    file.write_text(json.dumps(content))


def _change_entry(rng: np.random.Generator, entries: dict[str, Any], key: str) -> None:
    kind = rng.integers(4)
    if kind == 0:
        del entries[key]
    elif kind == 1:
        entries[key] = entries[list(entries)[rng.integers(len(entries))]]
    elif kind == 2 and isinstance(entries[key], int | float):
        entries[key] = entries[key] * int(rng.choice([2, 3, 100, -1]))
    else:
        entries[key] = ODD_VALUES[rng.integers(len(ODD_VALUES))]


def change_tensors(rng: np.random.Generator, folder: Path) -> None:
    """Swap, rename, lose, cast, cut or spoil tensors of a file."""
    file = _pick(rng, folder, "*.safetensors" if rng.random() < 0.7 else "*.bin")
    tensors = load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)
    for _ in range(rng.integers(1, 4)):
        names = list(tensors)
        one, two = (names[at] for at in rng.integers(len(names), size=2))
        kind = rng.integers(7)
        if kind < 2:
            tensors[one], tensors[two] = tensors[two].clone(), tensors[one].clone()
        elif kind == 2:
            tensors[f"{one}.x"] = tensors.pop(one)
        elif kind == 3:
            del tensors[one]
        elif kind == 4:
            kinds = (torch.float64, torch.bfloat16, torch.int8, torch.bool, torch.complex64, torch.float8_e4m3fn)
            tensors[one] = tensors[one].to(kinds[rng.integers(len(kinds))])
        elif kind == 5:
            tensors[one] = tensors[one][..., :-1].contiguous() if tensors[one].ndim else tensors[one]
        elif tensors[one].is_floating_point() and tensors[one].numel():
            odd = (float("nan"), float("inf"), 1e38, -65504.0, 1e-45)
            tensors[one].view(-1)[rng.integers(tensors[one].numel())] = odd[rng.integers(len(odd))]
        if not tensors:
            return
    if file.suffix == ".safetensors":
        save_file(tensors, file, metadata={"format": "pt"})
    else:
        torch.save(tensors, file)


def change_beginning_or_end(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Change bytes where headers, pickles and directories lie."""
    start = 0 if rng.random() < 0.5 else max(0, len(data) - 3000)
    for at in start + rng.integers(0, 3000, rng.integers(1, 6)):
        data[at : at + 1] = rng.bytes(len(data[at : at + 1]))


MUTATIONS: list[Mutation] = [flip_bits, splice, duplicate_block, delete_block, truncate, change_beginning_or_end]
CHANGES: list[Callable[[np.random.Generator, Path], None]] = [
    *(change_bytes, flip_one_bit, cut, lose_a_file, swap_files),
    *(change_config,) * 4,
    *(change_tensors,) * 3,
]


def _change_pickle(rng: np.random.Generator, archive: bytes, file: Path) -> None:
    """Change bytes of an archive's pickle, and give it the checksum that goes with them."""
    with zipfile.ZipFile(io.BytesIO(archive)) as whole, zipfile.ZipFile(file, "w") as changed:
        for name in whole.namelist():
            content = bytearray(whole.read(name))
            for at in rng.integers(0, len(content), rng.integers(1, 4)) if name.endswith("data.pkl") else ():
                content[at] = rng.integers(256) if rng.random() < 0.5 else content[rng.integers(len(content))]
            changed.writestr(name, bytes(content))


def _pick(rng: np.random.Generator, folder: Path, pattern: str) -> Path:
    """Pick a file; where none has the pattern, any file of weights."""
    files = sorted(folder.rglob(pattern)) or sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("*.bin"))
    return files[rng.integers(len(files))]


def _write_folders(scratch: Path) -> list[Path]:
    """Write a small model in each form of weights, and one with an average beside it."""
    plain = write_model(scratch / "plain")
    for form in FORMS:
        place = Path(shutil.copytree(plain, scratch / f"folder-{form.replace(' ', '-')}"))
        for part in PARTS:
            rewrite_part(place / part, form)
    shutil.copytree(plain / "unet", plain / "unet_ema")
    return [plain, *sorted(scratch.glob("folder-*"))]


def _write_checkpoints(scratch: Path) -> list[Path]:
    model = random_model(tiny_config(size=LDM_SIZE))
    state = ldm_unet(model.unet.state_dict(), levels=3) | ldm_conditioner(model.conditioner.state_dict())
    kept = [scratch / "archive.ckpt", scratch / "older.ckpt"]
    for path in kept:
        torch.save({"epoch": 1, "state_dict": state}, path, _use_new_zipfile_serialization=path.stem == "archive")
    return kept
