from datetime import UTC, datetime

import pytest
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.folder import Folder
from pipeline.storage.s3_listings import parse_time
from tests.object_storage import Proxy


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


def test_a_listing_of_an_own_session_names_every_object(s3: Proxy) -> None:
    out = Folder("s3://bucket/d")
    out.fs.pipe({out.path(f"units/{number:06d}.json"): b"-" for number in range(1100)})
    assert out.names("units") == [f"{number:06d}.json" for number in range(1100)]
    modified = out.fs.info(out.path("units/000000.json"))["LastModified"]
    assert isinstance(modified, datetime) and modified.tzinfo is not None
