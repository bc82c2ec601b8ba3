from datetime import datetime

from pipeline.storage.folder import Folder
from pipeline.storage.s3_objects import ListingParserFactory
from tests.object_storage import Proxy


def test_a_listing_of_an_own_session_names_every_object(s3: Proxy) -> None:
    out = Folder("s3://bucket/d")
    odd = ["a b.json", "c+d%2Fe&amp;.json", "<ü>&'\".json", "\u00a0😀.json"]
    names = [f"{number:06d}.json" for number in range(1100)]
    s3.fill([f"d/units/{name}" for name in names], b"-")
    out.fs.pipe({out.path(f"units/{name}"): b"-" for name in odd})
    assert isinstance(out.fs.session.get_component("response_parser_factory"), ListingParserFactory)
    assert out.names("units") == sorted([*names, *odd])
    info = out.fs.info(out.path("units/000000.json"))
    assert isinstance(info["LastModified"], datetime) and info["LastModified"].tzinfo is not None
    assert info["size"] == 1
