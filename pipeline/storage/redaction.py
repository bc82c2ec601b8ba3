"""Redaction: a text for people or logs -> the same without credentials."""

import os
import re

_USER = re.compile(
    r"(?<=://)(?<!file://)(?<!zip://)(?<!tar://)(?<!libarchive://)[^/\s@'\"]+@"
)  # of hosts, not of paths
_WEB = re.compile(r"(?i)\bhttps?://[^\s'\"]+")
_SIGNED = re.compile(r"(?i)([?&](?:signature|sig|token|key|secret|password|awsaccesskeyid)=)[^&\s'\")]+")
_SIGNED_BY_CLOUDS = re.compile(r"(?i)([?&](?:x-amz|x-goog)-[a-z-]+=)[^&\s'\")]+")
_SECRET_NAME = re.compile(r"(?i)secret|password|token|_key$|access_key|credential")
_SHORTEST_SECRET = 8  # shorter values are words that a text may hold by chance


def redact(text: str) -> str:
    """Blank the user part and signatures of URLs, and the values of environment variables that name a secret.

    A path keeps its `@`, `?` and `#`: it must lead where it led.
    """
    text = _SIGNED_BY_CLOUDS.sub(r"\1***", _USER.sub("***@", text))
    text = _WEB.sub(lambda url: _SIGNED.sub(r"\1***", url[0]), text)
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name) and not value.startswith(("/", "http")):
            text = text.replace(value, "***")
    return text
