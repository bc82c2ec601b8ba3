"""S3 objects: the XML of a listing -> its objects, as botocore parses them, in a fraction of its CPU time.

botocore asks its model about each member of each object, and reads times by dateutil. Here a listing's objects are read
by the tags that S3 gives them; whatever has another form, and all else that a server answers, is left to botocore.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from aiobotocore.parsers import AioResponseParserFactory, AioRestXMLParser
from botocore.utils import parse_timestamp

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class ListingParserFactory(AioResponseParserFactory):  # type: ignore[misc]
    """Makes the parsers of a session: the listing parser for the protocol of S3, aiobotocore's own for others."""

    def create_parser(self, protocol_name: str) -> Any:
        """Make a parser for one response."""
        if protocol_name == "rest-xml":
            return ListingParser(**self._defaults)
        return super().create_parser(protocol_name)


class ListingParser(AioRestXMLParser):  # type: ignore[misc]
    """aiobotocore's parser of XML, but for lists of objects."""

    def _handle_list(self, shape: Any, node: Any) -> Any:
        if shape.name == "ObjectList" and isinstance(node, list):
            try:
                return [_read_object(item) for item in node]
            except (KeyError, ValueError):
                pass  # not what S3 writes: botocore parses it, or says why it cannot
        return super()._handle_list(shape, node)


def _read_object(node: Iterable[Any]) -> dict[str, Any]:
    """Read one object.

    Raises:
        KeyError: it has a tag that is not known, or one twice.
        ValueError: a size or time is none.
    """
    parsed: dict[str, Any] = {}
    for child in node:
        name, read = _READERS_BY_TAG[child.tag]
        if name in parsed:
            raise KeyError(name)
        parsed[name] = read(child.text or "")
    return parsed


def parse_time(value: Any) -> datetime:
    """Parse a time as botocore does: ISO 8601 here, as listings write it, all other forms there."""
    if isinstance(value, str) and value.endswith("Z"):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    parsed: datetime = parse_timestamp(value)
    return parsed


_READERS: dict[str, Callable[[str], Any]] = {
    "Key": str,
    "LastModified": parse_time,
    "ETag": str,
    "Size": int,
    "StorageClass": str,
    "ChecksumType": str,
    "ChecksumAlgorithm": lambda text: [text],
}
_READERS_BY_TAG = {  # some servers name no namespace
    tag: (name, read) for name, read in _READERS.items() for tag in (name, f"{{{NAMESPACE}}}{name}")
}
