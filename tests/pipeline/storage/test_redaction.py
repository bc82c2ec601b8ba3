import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.redaction import redact


@given(secret=st.text("abcXYZ019-_.~+", min_size=3), rest=st.text("abc/?=&", max_size=8))
def test_users_and_signatures_of_addresses_never_show(secret: str, rest: str) -> None:
    secret = f"S{secret}T"
    for text in (
        f"https://user:{secret}@host/{rest}",
        f"s3://{secret}:{secret}@bucket/key",
        f"GET https://host/a?x=1&X-Amz-Signature={secret}&y=2 failed",
        f"https://host/a?token={secret}",
        f"https://host/a?x=1&Signature={secret}",
    ):
        assert secret not in redact(text)


def test_values_of_secret_variables_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "FSSPEC_S3_SECRET", "FSSPEC_S3_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN"):
        monkeypatch.setenv(name, f"value-of-{name}")
        assert redact(f"refused: value-of-{name}!") == "refused: ***!"


@pytest.mark.parametrize(
    "text",
    [
        "--out s3://bucket/a@b: not found",
        "https://host/a?page=2",
        "mail a@b.c",
        "/data/x-1-0",
        "/data/me@work/a?key=b&token=c#d",
        "file://a@b/c",
        "zip://me@work.csv::/data/x@y.zip",
        "s3://bucket/runs?key=1/token=2&sig=3",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text
