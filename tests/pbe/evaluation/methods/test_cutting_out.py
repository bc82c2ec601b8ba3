"""Exemplars are cut out by rembg where it is installed with a network, else by GrabCut, and are said to be."""

from pathlib import Path

import numpy as np
import pytest

from pbe.evaluation.methods.cutting_out import find_cutter

RED = np.zeros((40, 60, 3), np.uint8)
RED[10:30, 20:45, 0] = 255
RED[..., 1] = 90


def onnx_identity(file: Path, size: int) -> None:
    """A network that gives its input back: of rembg, whose masks are the first channel, what is red.

    ONNX's protobuf by hand, since its package comes with nothing that is installed here.
    """

    def number(field: int, value: int) -> bytes:
        return bytes([field << 3]) + _varint(value)

    def message(field: int, content: bytes) -> bytes:
        return bytes([field << 3 | 2]) + _varint(len(content)) + content

    def tensor(name: bytes) -> bytes:
        shape = b"".join(message(1, number(1, side)) for side in (1, 3, size, size))
        return message(1, name) + message(2, message(1, number(1, 1) + message(2, shape)))

    node = message(1, b"x") + message(2, b"y") + message(4, b"Identity")
    graph = message(1, node) + message(2, b"g") + message(11, tensor(b"x")) + message(12, tensor(b"y"))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(number(1, 8) + message(7, graph) + message(8, number(2, 13)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        out.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


@pytest.mark.parametrize(
    ("network", "size", "place"),
    [("u2net", 320, "u2net.onnx"), ("isnet-general-use", 1024, "models/isnet-general-use/isnet-general-use.onnx")],
)
def test_rembg_cuts_by_the_network_that_lies_in_its_folder(
    network: str, size: int, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rembg")
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    onnx_identity(tmp_path / place, size)
    cutter = find_cutter()
    assert cutter.name == f"rembg's {network}" and cutter.model == tmp_path / place
    assert (cutter.cut(RED) != (RED[..., 0] > 0)).mean() < 0.05


def test_without_a_network_it_is_grabcut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    cutter = find_cutter()
    assert cutter.name == "GrabCut, not rembg" and cutter.model is None
    mask = cutter.cut(RED)
    assert mask.dtype == bool and mask.shape == RED.shape[:2]
    assert mask[20, 30] and not mask[0, 0]
