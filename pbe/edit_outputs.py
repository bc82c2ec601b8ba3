"""Edit outputs: pictures and figures -> whole files, and for each case of a table the record that it is finished."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from pbe.edit_config import Case, EditConfig
from pbe.run_folder import write_aside
from pipeline.errors import InputError
from pipeline.photos import Pixels
from pipeline.storage import Folder, absolute, with_retries
from schemas.shards import json_bytes

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
JPEG_QUALITY = 95
FOLDERS_STEM, FOLDERS_FIGURE = "edited", "pictures"  # where --out is a folder
MAX_NAMED = 3
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Outputs:
    """Where pictures go."""

    folder: Folder
    stem: str
    """Of the one case that flags describe."""
    suffix: str
    figure: str = ""
    """Stem of the figure of its pictures. Empty: as the case."""

    def write(self, name: str, pixels: Pixels) -> None:
        """Write a picture [h, w, 3] uint8 RGB, whole or not at all."""
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, FORMATS[self.suffix], **_options(self.suffix))
        self._write(name, content.getvalue())

    def finish(self, case: Case, settings: Settings) -> None:
        """Write the record that a case is finished."""
        self._write(record_name(case), json_bytes(case_record(case, settings)))

    def place(self, name: str) -> str:
        """Tell a file's path or URL."""
        return f"{self.folder.url.rstrip('/')}/{name}"

    def _write(self, name: str, content: bytes) -> None:
        target = self.folder.path(name)
        if self.folder.local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            write_aside(Path(target), content)
        else:
            with_retries(lambda: self.folder.fs.pipe_file(target, content))


def find_outputs(config: EditConfig) -> Outputs:
    """Understand --out.

    Raises:
        InputError: it is a picture where a folder is needed, or a kind of picture that is not written here.
    """
    url = absolute(config.out)
    name = PurePosixPath(url).name
    suffix = PurePosixPath(url).suffix.lower()
    if config.cases or not suffix:
        if suffix in FORMATS:
            raise InputError(f"--out {config.out}: is a picture's name; with --cases give a folder")
        return Outputs(Folder(url), FOLDERS_STEM, ".png", "" if config.cases else FOLDERS_FIGURE)
    if suffix not in FORMATS:
        raise InputError(f"--out {config.out}: ends in {suffix}; give {', '.join(FORMATS)}, or a folder")
    return Outputs(Folder(url[: -len(name)].rstrip("/") or "/"), name[: -len(suffix)], suffix)


def case_record(case: Case, settings: Settings) -> dict[str, Any]:
    """Tell what a case's pictures are made from."""
    told = {name: value for name, value in vars(case).items() if value != ""}
    return {"case": json.loads(json.dumps(told)), "settings": dict(settings)}


def unfinished(outputs: Outputs, cases: Sequence[Case], settings: Settings, *, overwrite: bool) -> list[Case]:
    """List the cases without a record.

    Args:
        overwrite: list those, too, whose record tells of something else.

    Raises:
        InputError: a record tells of something else; says what.
    """
    there = set(outputs.folder.names(""))
    todo, changed = [], []
    for case in cases:
        if record_name(case) not in there:
            todo.append(case)
            continue
        wanted = case_record(case, settings)
        found = json.loads(outputs.folder.read(record_name(case)))
        if found != wanted:
            todo.append(case)
            changed.append(f"{case.name} ({_difference(found, wanted)})")
    if changed and not overwrite:
        raise InputError(
            f"--out {outputs.folder.url}: holds {len(changed)} cases made otherwise: {', '.join(changed[:MAX_NAMED])}; "
            "give another --out, or --overwrite to make them again"
        )
    return todo


def record_name(case: Case) -> str:
    """Name the file that says that a case is finished."""
    return f"{case.name}.json"


def _difference(found: Any, wanted: Any) -> str:
    pairs = [
        f"{name} {found.get(part, {}).get(name)} -> {wanted[part].get(name)}"
        for part in wanted
        for name in sorted({*found.get(part, {}), *wanted[part]})
        if found.get(part, {}).get(name) != wanted[part].get(name)
    ]
    return ", ".join(pairs)


def _options(suffix: str) -> dict[str, Any]:
    if FORMATS[suffix] == "PNG":
        return {"compress_level": 4}
    return {"quality": JPEG_QUALITY, **({"subsampling": 0} if FORMATS[suffix] == "JPEG" else {})}
