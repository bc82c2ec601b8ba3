"""A folder whose names could be patterns, queries or percent-codes, on object storage and on a web server."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from pipeline.photos.store import PhotoStore
from pipeline.storage.folder import Folder
from pipeline.storage.globs import expand
from tests.object_storage import Proxy
from tests.pipeline.storage.odd_names import ALL_OF_IT, ODD_NAMES

NAMES = [name for name in ODD_NAMES if name != "l\ni"]


def test_on_object_storage_every_name_is_that_name_and_nothing_beside_a_folder_is_removed(s3: Proxy) -> None:
    s3.fill((f"{ALL_OF_IT}/d/{name}" for name in NAMES), b"x")
    beside = [f"{ALL_OF_IT}/dd", f"{ALL_OF_IT}/d-old/a", f"{ALL_OF_IT.replace('[1]', '1')}/d/a", "k/d/a"]
    s3.fill(beside, b"x")
    folder = Folder(f"s3://bucket/{ALL_OF_IT}")
    assert folder.names("d") == sorted(NAMES)
    for name in ("p[1]", "a#b?c=d&e"):
        folder.write(f"d/{name}", b"y")
        assert folder.read(f"d/{name}") == b"y"
        assert expand(f"{folder.url}/d/{name}") == [f"{folder.url}/d/{name}"]
    assert expand(f"{folder.url}/d/a%*") == [f"{folder.url}/d/a%20b"]
    folder.remove("d/p[1]")
    assert "p[1]" not in folder.names("d") and "p[!x]*?" in folder.names("d")
    folder.remove("d")
    assert folder.fs.find("bucket") == sorted(f"bucket/{key}" for key in beside)


class _Server(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_names_that_a_web_server_lists_are_encoded_once(tmp_path: Path) -> None:
    names = ["a b", "a::b", "p[1]", "a%20b", "a+b", "a#b?c=d&e", "k\u00e4se", "'q\"`$HOME`"]
    for name in names:
        (tmp_path / ALL_OF_IT / name).mkdir(parents=True)
        (tmp_path / ALL_OF_IT / name / f"{name}.jpg").write_text(name)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Server, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{quote(ALL_OF_IT)}"
        folder = Folder(url)
        assert folder.names("") == sorted(names)
        for name in names:
            assert folder.read(f"{name}/{name}.jpg").decode() == name
            assert folder.names(name) == [f"{name}.jpg"]
        assert PhotoStore((url,), anonymous=False).fetch(names[0]).decode() == names[0]
        assert expand(f"{url}/{quote('p[1]')}/*.jpg") == [f"{url}/{quote('p[1]')}/{quote('p[1]')}.jpg"]
        server.shutdown()
