"""The verb of the painting page: help and refusals at once, without torch or gradio."""

import socket
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.pbe.refusals import assert_refused_at_once, refuse_all

pytestmark = pytest.mark.processes


def test_help_and_refusals_come_at_once(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        lines = {
            "help": ["--help"],
            "no such model": ["--model", "nowhere"],
            "device": ["--model", "a.ckpt", "--device", "gpu"],
            "encoder": ["--model", "a.ckpt", "--exemplar-encoder", "no/such/tower"],
            "port": ["--model", "a.ckpt", "--port", port],
        }
        (tmp_path / "a.ckpt").write_bytes(b"")
        refused = refuse_all("pbe.app", lines, folder=tmp_path)
    shown = refused.pop("help")
    assert shown.code == 0 and "--port" in shown.said and shown.heavy == []
    expected = {
        "no such model": ["--model nowhere"],
        "device": ["--device gpu: is not a device"],
        "encoder": ["--exemplar-encoder no/such/tower: no such folder"],
        "port": [f"--port {port}: another program listens there" if find_spec("gradio") else "gradio is not installed"],
    }
    for name, refusal in refused.items():
        assert_refused_at_once(refusal, expected[name])
        assert "gradio" not in refusal.heavy
