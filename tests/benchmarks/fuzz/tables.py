"""Tables: mutated box tables, CSV, packed CSV and Parquet -> a plan each, or a refusal that names the table.

A plan's boxes must be finite and lie in their photos, and its sums must hold. Tables default to the one of the sample
photos, and the real ones beside the checkout.
"""

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline.boxes.filters import parse_filters
from pipeline.boxes.listing import refuse_copies
from pipeline.boxes.malformed import OUTSIDE_TOLERANCE
from pipeline.boxes.tables import check_tables
from pipeline.errors import InputError
from pipeline.planning.plan import make_plan
from pipeline.planning.plan_files import read_unit_boxes, read_units
from pipeline.planning.row_counts import PlanInputs
from pipeline.storage.folder import Folder
from tests.benchmarks.fuzz.mutations import Mutation, delete_block, duplicate_block, flip_bits, mutate, splice, truncate
from tests.benchmarks.fuzz.photos import REAL
from tests.benchmarks.fuzz.running import Subject

SAMPLE = Path(__file__).parents[3] / "pipeline/photos/sample_photos/train-annotations-bbox.csv"
ROWS = 60
PARQUET_KINDS = 7
BOUND_BYTES = 1 << 30
MAX_MALFORMED = 0.05  # the default of --max-malformed
# What refusals say, for the table of outcomes.
REFUSALS = (
    "missing column",
    "holds",
    "none of the first",
    "no rows",
    "is empty",
    "cannot be read",
    "is there twice",
    "not UTF-8",
)
VALUES = (
    *("", "nan", "-nan", "inf", "1e999", "-1e-999", "0x1p-1", "1e-320", "-0.0", "1.0000001", "0,5", "1_0", " 0.5 "),
    *("\u00bd", "\uff11", '"', '""', '"a', "a\0b", "a,b", "\ufeff", "\u202e", "\ud800", "9" * 400, "True", "-1", "2"),
    *("../x", "/x"),
)
BYTES = tuple(value.encode(errors="surrogatepass") for value in VALUES)


def subjects(inputs: int, seed: int, folder: Path | None) -> list[Subject]:
    """Mutate the tables of the folder: half as CSV, one in four packed, one in four as Parquet.

    What is packed is damaged before in every other input, and after in the rest.
    """
    paths = sorted(folder.rglob("*.csv")) if folder else [SAMPLE, *sorted(REAL.glob("*/*bbox*.csv"))]
    plain = [variant for path in paths for variant in _variants(path.read_bytes())]
    forms: list[tuple[str, int, Callable[[bytes, int], bytes]]] = [
        ("boxes.csv", inputs // 2, lambda data, _: data),
        ("boxes.csv.gz", inputs // 4, lambda data, _: gzip.compress(data, mtime=0)),
        ("boxes.parquet", inputs - inputs // 2 - inputs // 4, _as_parquet),
    ]

    def subject(name: str, count: int, form: Callable[[bytes, int], bytes]) -> Subject:
        bases = [form(data, number) for data in plain for number in range(PARQUET_KINDS)]

        def write(number: int, place: Path) -> None:
            rng = np.random.default_rng([seed, number])
            early = name == "boxes.csv" or number % 2 == 0
            data = form(mutate(rng, TEXT_MUTATIONS, plain), number) if early else mutate(rng, BYTE_MUTATIONS, bases)
            place.mkdir()
            (place / name).write_bytes(data)

        return Subject(name, count, write, lambda place: try_table(place / name), BOUND_BYTES)

    return [subject(*form) for form in forms]


def try_table(path: Path) -> str:
    """Take a table all the way to a plan.

    Returns:
        What came of it, or why it was refused.

    Raises:
        AssertionError: the plan is wrong, or the refusal does not name the table.
    """
    out = Folder(str(path.parent / "out"))
    inputs = PlanInputs(
        tables=(str(path),),
        image_info=(),
        rules=tuple(parse_filters(("area",))),
        seed=0,
        split_shares=(0.8, 0.1, 0.1),
        photos_per_unit=10,
        limit=0,
        anonymous=False,
    )
    try:
        refuse_copies("--boxes", [str(path)], anonymous=False)
        check_tables([str(path)], anonymous=False)
        plan = make_plan(inputs, places=lambda forms: [], out=out)
    except InputError as error:
        assert path.name in str(error), error
        return next((f"refused: {words}" for words in REFUSALS if words in str(error)), "refused")
    boxes = np.array([sides for table in _planned(out) for sides in table["box"].to_pylist()]).reshape(-1, 4)
    assert np.isfinite(boxes).all(), "a box that is not finite"
    assert (boxes > -2 * OUTSIDE_TOLERANCE).all() and (boxes < 1 + 2 * OUTSIDE_TOLERANCE).all(), "a box outside"
    assert (boxes[:, 2:] > boxes[:, :2]).all(), "an empty box"
    if not plan.units:
        return "no box left"
    malformed = sum(plan.malformed.values())
    return "plan" if malformed <= MAX_MALFORMED * plan.rows else "more than 5 % malformed"


def _planned(out: Folder) -> Iterator[pa.Table]:
    for unit in read_units(out).to_pylist():
        yield read_unit_boxes(out, file=unit["file"], row_group=unit["row_group"])


def _head(table: bytes) -> bytes:
    return b"".join(table.splitlines(keepends=True)[: ROWS + 1])


def _variants(table: bytes) -> Iterator[bytes]:
    """Write the beginning of a table as other systems do."""
    head = _head(table)
    yield head
    yield b"\xef\xbb\xbf" + head.replace(b"\n", b"\r\n")
    yield b"\n".join(b",".join(b'"%s"' % field for field in line.split(b",")) for line in head.splitlines())


def _as_parquet(table: bytes, number: int) -> bytes:
    """Write a table as Parquet, with types that other systems choose; what is no table, as text in one column."""
    lenient = pa_csv.ParseOptions(invalid_row_handler=lambda _: "skip")
    try:
        read = pa_csv.read_csv(io.BytesIO(table.decode(errors="replace").encode()), parse_options=lenient)
    except pa.ArrowInvalid:
        read = pa.table({"ImageID": [table]})
    kind, columns = number % PARQUET_KINDS, []
    for name, column in zip(read.column_names, read.columns, strict=True):
        number_kind = pa.types.is_floating(column.type)
        if number_kind and kind in (1, 2, 3):
            column = column.cast((pa.float32(), pa.string(), pa.decimal128(38, 9))[kind - 1], safe=False)
        if kind == 4 and not number_kind:
            column = column.cast(pa.string()).cast(pa.binary())
        if kind == 5 and not number_kind:
            column = column.cast(pa.string()).dictionary_encode()
        if kind == 6 and name in ("ImageID", "XMin", "IsInside"):
            column = pa.array([{"x": value} for value in column.to_pylist()])
        columns.append(column)
    content = io.BytesIO()
    packing = ("none", "none", "snappy", "gzip", "none", "zstd", "none")[kind]
    typed = pa.Table.from_arrays(columns, names=read.column_names)
    pq.write_table(typed, content, compression=packing, row_group_size=20)
    return content.getvalue()


def replace_fields(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Put odd values between commas, in the header too."""
    for _ in range(rng.integers(1, 8)):
        at = data.find(b",", rng.integers(len(data) + 1))
        end = max(at + 1, min(data.find(b",", at + 1), data.find(b"\n", at + 1)))
        if at >= 0:
            data[at + 1 : end] = BYTES[rng.integers(len(BYTES))]


def replace_words(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    """Change what separates fields, lines or digits, or how text is encoded, all over."""
    old, new = [
        (b",", b";"),
        (b",", b"\t"),
        (b"\n", b"\r"),
        (b"\n", b"\n\n"),
        (b"0.", b"."),
        (b"0.", b"0,"),
        (b"0.", b""),
        (b"\n", b",\n"),
        (b"XMax", b"XMin"),
        (b"YMin", b"ymin"),
        (b"ImageID", b"\xff\xfeImageID"),
        (b"/m/", b"/\xe9/"),
    ][rng.integers(12)]
    data[:] = data.replace(old, new)


def encode_anew(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    data[:] = data.decode(errors="replace").encode(("utf-16", "utf-32", "utf-7")[rng.integers(3)])


def mix_lines(rng: np.random.Generator, data: bytearray, other: bytes) -> None:
    """Let lines of another table stand among a table's own, some twice."""
    lines = bytes(data).splitlines(keepends=True) + other.splitlines(keepends=True)[:20]
    data[:] = b"".join(lines[place] for place in rng.integers(0, len(lines), len(lines))) if lines else b""


def flip_one_bit(rng: np.random.Generator, data: bytearray, _: bytes) -> None:
    at = rng.integers(max(1, len(data)))
    data[at : at + 1] = bytes(byte ^ (1 << rng.integers(8)) for byte in data[at : at + 1])


BYTE_MUTATIONS: list[Mutation] = [*[flip_one_bit] * 6, flip_bits, splice, duplicate_block, delete_block, truncate]
TEXT_MUTATIONS: list[Mutation] = [*BYTE_MUTATIONS, *[replace_fields] * 5, replace_words, encode_anew, mix_lines]
