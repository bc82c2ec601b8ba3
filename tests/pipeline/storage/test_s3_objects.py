import asyncio
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from aiobotocore.parsers import AioRestXMLParser
from botocore.session import get_session
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.s3_objects import NAMESPACE, ListingParser, parse_time

OBJECT = "<Contents><Key>d/{0}</Key><LastModified>2026-11-26T23:00:00.000Z</LastModified><Size>{0}</Size></Contents>"
CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=12).map(escape),  # raw keys
    st.from_regex(r"(%[0-9A-F]{2}|\+|[a-z/]){0,8}", fullmatch=True),  # as encoding-type=url writes them
    st.sampled_from(["&#13;&#10;", "&quot;a&quot;", "a<!-- b -->c", "<![CDATA[<&]]>", "<b>in</b>side", "", " "]),
)
SIZES = st.one_of(st.integers(0, 10**13).map(str), st.sampled_from(["", "many", " 7 ", "-1", "1.5"]))
TIMES = st.one_of(
    st.datetimes(min_value=datetime(1970, 1, 2)).map(lambda when: when.isoformat(timespec="milliseconds") + "Z"),
    st.sampled_from(["2026-11-26T23:00:00Z", "Thu, 26 Nov 2026 23:00:00 GMT", "1795636800", "yesterday", ""]),
)
MEMBERS = {
    "Key": TEXTS,
    "LastModified": TIMES,
    "ETag": TEXTS,
    "Size": SIZES,
    "StorageClass": st.sampled_from(["STANDARD", "GLACIER", ""]),
    "ChecksumAlgorithm": st.sampled_from(["CRC32", "CRC64NVME", ""]),
    "ChecksumType": st.just("FULL_OBJECT"),
    "Owner": TEXTS.map(lambda name: f"<DisplayName>{name}</DisplayName><ID>7</ID>"),
    "RestoreStatus": st.just("<IsRestoreInProgress>true</IsRestoreInProgress>"),
    "Type": st.just("Normal"),  # of Ceph, unknown to botocore
}
USUAL = [name for name in MEMBERS if name not in ("Owner", "RestoreStatus", "Type")]


@st.composite
def objects(draw: st.DrawFn) -> str:
    """One object: as S3 writes it; now and then with a member missing, twice, unusual or in another order."""
    names = draw(st.one_of(st.just(USUAL), st.lists(st.sampled_from(list(MEMBERS)), max_size=8)))
    return "<Contents>" + "".join(f"<{name}>{draw(MEMBERS[name])}</{name}>" for name in names) + "</Contents>"


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    """An HTTP answer to a listing: a page, an error, or something cut off."""
    prefixes = [
        f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in draw(st.lists(TEXTS, max_size=3))
    ]
    parts = draw(st.permutations([*draw(st.lists(objects(), max_size=5)), *prefixes]))
    token = "<IsTruncated>true</IsTruncated><NextContinuationToken>1=/+</NextContinuationToken>"
    head = draw(
        st.sampled_from(["", token, "<EncodingType>url</EncodingType><KeyCount>3</KeyCount><Name>bucket</Name>"])
    )
    name = draw(st.sampled_from(["ListBucketResult"] * 4 + ["Error"]))
    space = draw(st.sampled_from([f' xmlns="{NAMESPACE}"', "", ' xmlns="urn:other"']))
    error = "<Code>SlowDown</Code><Message>&lt;wait&gt;</Message><RequestId>7</RequestId>" if name == "Error" else ""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}{space}>{head}{error}{"".join(parts)}</{name}>'.encode()
    cut = draw(st.one_of(st.just(len(body)), st.just(len(body)), st.integers(0, len(body))))
    status = draw(st.sampled_from([200, 200, 200, 400, 403, 404, 500, 503]))
    return {"status_code": status, "headers": {"x-amz-request-id": "r"}, "body": body[:cut], "context": {}}


@given(answers(), st.sampled_from(["ListObjectsV2", "ListObjects", "ListObjectVersions"]))
def test_every_answer_is_parsed_as_botocore_parses_it(answer: dict[str, Any], operation: str) -> None:
    assert _outcome(ListingParser(parse_time), answer, operation) == _outcome(AioRestXMLParser(), answer, operation)


@pytest.mark.parametrize("space", [f' xmlns="{NAMESPACE}"', ""])
def test_a_page_of_s3_asks_botocore_for_no_object(space: str) -> None:
    class Counting(ListingParser):
        structures = 0

        def _handle_structure(self, shape: Any, node: Any) -> Any:
            self.structures += 1
            return super()._handle_structure(shape, node)

    parser = Counting(parse_time)
    page = f"<ListBucketResult{space}>{''.join(OBJECT.format(number) for number in range(20))}</ListBucketResult>"
    answer = {"status_code": 200, "headers": {}, "body": page.encode(), "context": {}}
    kind, parsed = _outcome(parser, answer, "ListObjectsV2")
    assert kind == "parsed" and [entry["Size"] for entry in parsed["Contents"]] == list(range(20))
    assert parser.structures == 1  # the page itself


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)), st.sampled_from(["seconds", "milliseconds"])
)
def test_times_are_those_that_botocore_reads(when: datetime, digits: str) -> None:
    text = when.isoformat(timespec=digits).replace("+00:00", "Z")
    assert parse_time(text) == parse_timestamp(text)
    assert str(parse_time(text)) == str(parse_timestamp(text))  # stamps of files hold it as text


@pytest.mark.parametrize("value", ["Wed, 25 Nov 2026 20:00:00 GMT", "20261125T200000Z", 1795636800, "1795636800.5"])
def test_other_forms_are_left_to_botocore(value: object) -> None:
    assert parse_time(value) == parse_timestamp(value)


def _outcome(parser: Any, answer: dict[str, Any], operation: str) -> tuple[str, Any]:
    """What a parser makes of an answer: its result, or its error."""
    try:
        parsed = asyncio.run(parser.parse(dict(answer), _output_shape(operation)))
    except Exception as error:  # botocore has no error of its own for most of what is wrong
        return type(error).__name__, re.sub("at 0x[0-9a-f]+", "", str(error))
    return "parsed", _comparable(parsed)


def _comparable(value: Any) -> Any:
    """The same, its XML elements as bytes: botocore leaves those of a member that is there twice."""
    if isinstance(value, dict):
        return {key: _comparable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_comparable(part) for part in value]
    return ElementTree.tostring(value) if isinstance(value, ElementTree.Element) else value


@cache
def _output_shape(operation: str) -> Any:
    return get_session().get_service_model("s3").operation_model(operation).output_shape
