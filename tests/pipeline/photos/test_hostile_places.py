"""Ids and places made to do harm: no id leads out of the photos or the output, no place blocks or fills the memory."""

import csv
import hashlib
import json
import os
import re
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError, PhotoError
from pipeline.photos import bounded_reads
from pipeline.photos.formats import PICTURES, SUFFIXES
from pipeline.photos.store import PhotoStore
from pipeline.storage import retries
from schemas.samples import sample_key
from tests.making import Make
from tests.object_storage import Proxy
from tests.pipeline.decoding import hostile

JPEG = Callable[..., bytes]
SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}-[0-9]+-[0-9]+[.][a-z.]+")

IDS = [
    "plain",
    "a/b",
    "a/../../b",
    "../outside",
    "..",
    ".",
    "...",
    "/etc/passwd",
    "//host/share",
    ".hidden",
    " leading and trailing ",
    "tab\there",
    'quote"d, and comma',
    "'; DROP TABLE --",
    "x" * 300,
    "x\N{COMBINING ACUTE ACCENT}",  # which has no composed form: ids are compared in NFC
    "\N{LATIN SMALL LETTER E WITH ACUTE}",
    "\N{HEBREW LETTER ALEF}\N{RIGHT-TO-LEFT OVERRIDE}gpj",
    "\N{GRINNING FACE}" * 80,
    "%2e%2e/outside",
    "~",
    "~root",
    "con",
    "C:\\outside",
    "..\\outside",
    "$(touch outside)",
    "a.b.c",
    "name.jpg",
    "*",
    "[a]",
    "-rf",
    "nul\0byte",
    "x-" + hashlib.sha256(b"a/b").hexdigest()[:16],
]


def reason_of(store: PhotoStore, image_id: str) -> str:
    try:
        return f"{len(store.fetch(image_id))} bytes"
    except PhotoError as error:
        return error.reason


def test_only_regular_files_are_read(tmp_path: Path, jpeg: JPEG) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(jpeg((64, 48)))
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    for name, target in {"device": "/dev/zero", "lost": "nothing", "kernel": "/proc/kmsg", "loop": "loop.jpg"}.items():
        (folder / f"{name}.jpg").symlink_to(target)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.jpg"))
        store = PhotoStore((str(folder),), anonymous=False)
        reasons = {name: reason_of(store, name) for name in ("folder", "pipe", "device", "lost", "socket", "loop")}
    assert reasons == {
        "folder": "missing",
        "pipe": "not_a_file",
        "device": "not_a_file",
        "lost": "missing",
        "socket": "not_a_file",
        "loop": "not_a_file",
    }
    assert reason_of(store, "kernel") in ("empty", "missing")
    assert reason_of(store, "good").endswith("bytes")


def test_a_file_above_the_limit_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    assert reason_of(PhotoStore((str(tmp_path),), anonymous=False), "huge") == "too_many_bytes"


class Site(BaseHTTPRequestHandler):
    """A web server that ignores ranges, as Python's own does."""

    contents: ClassVar[dict[str, bytes]]
    asked: ClassVar[list[str]]
    sent_of_endless = 0

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        content = self.contents.get(self.path)
        self.send_response(200 if content is not None else 404)
        endless = content == b"endless"
        self.send_header("Content-Length", str(1 << 40 if endless else len(content or b"")))
        self.end_headers()
        self.wfile.write(b"" if endless else content or b"")
        try:
            while endless:
                type(self).sent_of_endless += self.wfile.write(bytes(1 << 16))
        except OSError:
            self.close_connection = True

    def do_HEAD(self) -> None:
        self.send_error(405)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(jpeg: JPEG) -> Iterator[tuple[str, type[Site]]]:
    class OneSite(Site):
        asked: ClassVar[list[str]] = []
        sent_of_endless = 0
        contents: ClassVar[dict[str, bytes]] = {
            "/photos/good.jpg": jpeg((64, 48)),
            "/photos/a%20b%23c%3Fd%25.jpg": jpeg((64, 48)),
            "/photos/empty.jpg": b"",
            "/photos/upper.JFIF": jpeg((64, 48)),
            "/photos/endless.jpg": b"endless",
            "/photos/": b"",
            "/secret.jpg": b"secret",
        }

    server = ThreadingHTTPServer(("127.0.0.1", 0), OneSite)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/photos", OneSite
    server.shutdown()
    server.server_close()


def test_a_web_server_cannot_fill_the_memory_nor_be_led_outside(
    site: tuple[str, type[Site]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, served = site
    monkeypatch.setattr(bounded_reads, "MAX_PHOTO_BYTES", 1 << 20)
    store = PhotoStore((url,), anonymous=False)
    assert reason_of(store, "good").endswith("bytes")
    assert reason_of(store, "a b#c?d%").endswith("bytes")
    assert reason_of(store, "upper").endswith("bytes")
    assert reason_of(store, "empty") == "empty"
    assert reason_of(store, "endless") == "too_many_bytes"
    assert served.sent_of_endless < 64 << 20  # what the sockets hold ahead
    assert reason_of(store, "none") == "missing"
    asked = [path for path in served.asked if path.startswith("/photos/none")]
    assert len(asked) == len(SUFFIXES) == 2 * len(PICTURES)  # lower and upper case, and no more
    for name in ("%2e%2e/secret", "..%2fsecret", "%2E%2E%2Fsecret", "good.jpg?x=", "good.jpg#", "x" * 2000):
        assert reason_of(store, name) == "missing", name
    assert all(f"{path}/".startswith("/photos/") and "/../" not in unquote(path) for path in served.asked)


@pytest.fixture
def bucket(s3: Proxy) -> boto3.client:
    """An empty bucket `photos` on an S3 server on loopback, to which s3:// URLs lead."""
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=s3.url, **keys)
    client.create_bucket(Bucket="photos")
    return client


def test_objects_cost_no_more_than_the_limit_and_ids_name_one_key(
    bucket: boto3.client, monkeypatch: pytest.MonkeyPatch, jpeg: JPEG
) -> None:
    monkeypatch.setattr(bounded_reads, "MAX_PHOTO_BYTES", 1 << 20)
    contents = {"good": jpeg((64, 48)), "large": bytes(3 << 20), "limit": bytes(1 << 20), "empty": b""}
    for name, content in contents.items():
        bucket.put_object(Bucket="photos", Key=f"train/{name}.jpg", Body=content)
    bucket.put_object(Bucket="photos", Key="train/secret", Body=b"secret")
    bucket.put_object(Bucket="photos", Key="secret.jpg", Body=b"secret")
    monkeypatch.setattr(retries, "FIRST_WAIT_SECONDS", 1000.0)  # none of this is retried, or the test would not end
    store = PhotoStore(("s3://photos/train",), anonymous=False)
    reasons = {name: reason_of(store, name) for name in contents}
    assert reasons == {
        "good": f"{len(contents['good'])} bytes",
        "large": "too_many_bytes",
        "limit": f"{1 << 20} bytes",
        "empty": "empty",
    }
    for name in ("secret?versionId=1", "%2e%2e/secret", "x" * 300, "\N{GRINNING FACE}" * 300, "a#b", "a?b", "*", "~"):
        assert reason_of(store, name) == "missing", name


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> tuple[PhotoStore, Path]:
    """Photos, each with its own path as content, beside files that no id may reach."""
    root = tmp_path_factory.mktemp("guarded")
    for name in ("photos/a.jpg", "photos/sub/b.jpg", "outside.jpg", "outside/c.jpg", "photos.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return PhotoStore((str(root / "photos"),), anonymous=False), root


PIECES = st.sampled_from(
    ["..", ".", "/", "\\", "a", "b", "sub", "outside", "photos", "%2e", "\0", "\n", "~", ".jpg", " "]
)
ANY_ID = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=12).map("".join), st.sampled_from(IDS))


@given(image_id=ANY_ID)
@settings(max_examples=400)
def test_no_id_reads_outside_the_photos(guarded: tuple[PhotoStore, Path], image_id: str) -> None:
    store, root = guarded
    for name in (image_id, f"{root}/outside", f"{root}/photos/a", f"../photos/{image_id}"):
        try:
            content = store.fetch(name).decode()
        except PhotoError as error:
            assert error.reason in ("missing", "unsafe_id")
            continue
        assert content.startswith("photos/")
        assert "outside" not in content


@given(ids=st.lists(st.one_of(ANY_ID, ANY_ID.map(lambda name: sample_key(name, 0, 0)[:-4])), unique=True, max_size=20))
@settings(max_examples=200)
def test_keys_are_plain_names_and_no_two_ids_share_one(ids: list[str]) -> None:
    keys = [sample_key(name, box_id, draw) for name in ids for box_id in (0, 11) for draw in (0, 1)]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}-[0-9]+-[0-9]+", key) for key in keys)


def write_photos(folder: Path, content: bytes) -> None:
    """Give a photo to each id that can be a file's name there."""
    for image_id in IDS:
        parts = image_id.split("/")
        if not {"", ".", ".."} & set(parts) and "\0" not in image_id and len(parts[-1].encode()) < 250:
            path = folder / f"{image_id}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def write_boxes(path: Path, ids: list[str]) -> None:
    rows = [{"ImageID": name, "LabelName": "/m/1", "XMin": 0.2, "XMax": 0.7, "YMin": 0.2, "YMax": 0.7} for name in ids]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("table", "layout", "ids"),
    [
        ("boxes.csv", "photos", IDS),
        ("boxes.csv", "photos.tar", IDS),
        ("boxes.parquet", "photos", [*IDS, "line\nbreak", "\r\n", "x" * 100_000]),
    ],
)
def test_hostile_ids_end_as_samples_or_drops_inside_the_output(
    tmp_path: Path, make: Make, jpeg: JPEG, table: str, layout: str, ids: list[str]
) -> None:
    (tmp_path / "outside.jpg").write_bytes(b"secret")
    write_photos(tmp_path / "photos", jpeg((96, 64)))
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(tmp_path / "photos", "../../photos")
    write_boxes(tmp_path / table, ids)
    before = set(tmp_path.rglob("*"))
    out = tmp_path / "made" / "out"
    inputs = {"boxes": (str(tmp_path / table),), "images": (str(tmp_path / layout),), "image_info": (), "classes": ""}
    make(out, max_photo_failures=1.0, draws=2, photos_per_unit=100, split_shares=(1.0, 0.0, 0.0), **inputs)

    written = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "made") for path in written)
    samples = [row for path in out.glob("index/*/*.parquet") for row in pq.read_table(path).to_pylist()]
    drops = [row for path in out.glob("drops/**/*.parquet") for row in pq.read_table(path).to_pylist()]
    assert len({row["key"] for row in samples}) == len(samples)
    for image_id in ids:
        outcomes = {row["draw"] for row in samples if row["image_id"] == image_id}
        outcomes |= {row["draw"] for row in drops if row["image_id"] == image_id and row["reason"]}
        assert outcomes == {0, 1}, image_id
    assert {"a/b", "plain"} <= {row["image_id"] for row in samples} or layout == "photos.tar"
    totals = json.loads((out / "manifest.json").read_text())["totals"]
    assert (totals["rows"], totals["malformed"], totals["draws_planned"]) == (len(ids), {}, 2 * len(ids))
    for path in out.glob("shards/*/*.tar"):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
        assert all(SAFE_NAME.fullmatch(member.name) and not member.pax_headers for member in members)
        assert all(member.isreg() and member.offset_data - member.offset == tarfile.BLOCKSIZE for member in members)


def test_ids_that_are_no_text_are_refused_by_name_of_their_table(tmp_path: Path, make: Make) -> None:
    write_boxes(tmp_path / "boxes.parquet", ["a", "b"])
    table = pq.read_table(tmp_path / "boxes.parquet")
    bad = pa.array([b"\xff\xfe", b"\xed\xa0\x80"])
    ids = pa.StringArray.from_buffers(2, *bad.buffers()[1:])
    pq.write_table(table.set_column(0, "ImageID", ids), tmp_path / "boxes.parquet")
    with pytest.raises(InputError, match=r"boxes.parquet: .*UTF8"):
        make(tmp_path / "out", boxes=(str(tmp_path / "boxes.parquet"),))


def test_hostile_photos_leave_the_job_as_drops_with_their_reasons(tmp_path: Path, make: Make, jpeg: JPEG) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    contents = {
        "good": jpeg((96, 64)),
        "empty": b"",
        "not_an_image": b"<html><body>404 Not Found</body></html>",
        "truncated": jpeg((96, 64))[:-300],
        "bomb": hostile.png_of(100_000, 100_000),
        "animated": hostile.film("GIF", 3),
        "too_small": jpeg((8, 8)),
        "too_many_parts": hostile.png_of(64, 64, hostile.chunk(b"abCd", b"") * 50_000),
        "too_many_scans": hostile.progressive_with_scans(500),
        "corrupt": hostile.webp_of_canvas(100, 100),
    }
    for name, content in contents.items():
        (folder / f"{name}.jpg").write_bytes(content)
    os.mkfifo(folder / "not_a_file.jpg")
    ids = [*contents, "not_a_file", "missing"]
    write_boxes(tmp_path / "boxes.csv", ids)
    inputs = {"boxes": (str(tmp_path / "boxes.csv"),), "images": (str(folder),), "image_info": (), "classes": ""}
    make(tmp_path / "out", max_photo_failures=1.0, draws=1, split_shares=(1.0, 0.0, 0.0), **inputs)
    drops = [row for path in (tmp_path / "out/drops/units").glob("*") for row in pq.read_table(path).to_pylist()]
    assert {row["image_id"]: row["reason"] for row in drops} == {name: name for name in ids if name != "good"}
