"""Redaction: a text for people or logs -> the same without credentials."""

import os
import re

_USER = re.compile(r"(?<=://)[^/\s@'\"]+@")
_SIGNED = re.compile(
    r"(?i)([?&](?:x-amz-[a-z-]+|x-goog-[a-z-]+|signature|sig|token|key|secret|password|awsaccesskeyid)=)[^&\s'\")]+"
)
_SECRET_NAME = re.compile(r"(?i)secret|password|token|_key$|access_key|credential")
_SHORTEST_SECRET = 8  # shorter values are words that a text may hold by chance


def redact(text: str) -> str:
    """Blank the user part and signatures of URLs, and the values of environment variables that name a secret."""
    text = _SIGNED.sub(r"\1***", _USER.sub("***@", text))
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name) and not value.startswith(("/", "http")):
            text = text.replace(value, "***")
    return text
