"""Who may ask a server on 127.0.0.1: its own page, by its own names."""

import pytest

from pipeline.serving.callers import FORBIDDEN, MISDIRECTED, refuse_foreign

OWN = {"host": "127.0.0.1:7000"}


def _status(headers: dict[str, str], *, port: int = 7000) -> int | None:
    refusal = refuse_foreign([(name.encode(), value.encode()) for name, value in headers.items()], port=port)
    return refusal and refusal[0]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_its_own_page_may_ask(name: str) -> None:
    assert _status({"host": f"{name}:7000", "origin": f"http://{name}:7000", "sec-fetch-site": "same-origin"}) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:80"])
def test_at_port_80_the_page_is_reached_without_naming_it(host: str) -> None:
    assert _status({"host": host, "origin": f"http://{host}"}, port=80) is None
    assert _status({"host": "evil.example", "origin": "http://evil.example"}, port=80) == MISDIRECTED


@pytest.mark.parametrize("host", ["evil.example:7000", "127.0.0.1", "localhost:1", "127.0.0.1:7000.evil", ""])
def test_another_name_for_this_machine_is_refused(host: str) -> None:
    assert _status({"host": host}) == MISDIRECTED


def test_what_another_sites_page_sends_is_refused_but_a_link_from_it_opens() -> None:
    assert _status({**OWN, "origin": "http://evil.example"}) == FORBIDDEN
    assert _status({**OWN, "origin": "null"}) == FORBIDDEN
    assert _status({**OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}) == FORBIDDEN
    assert _status({**OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}) is None
