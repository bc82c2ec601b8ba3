"""What torch.save wrote gives its tensors, whatever lies beside them, and nothing in it runs."""

import collections
import copyreg
import dataclasses
import datetime
import decimal
import enum
import functools
import io
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import InputError
from pipeline.tensors.torch_files import load_torch_file

CALLS: list[str] = []


class Loud:
    """Notes each time that unpickling makes or changes one."""

    def __setstate__(self, state: Any) -> None:
        CALLS.append("setstate")
        vars(self).update(state if isinstance(state, dict) else {})


class Mapping(dict[Any, Any]):
    """A dict's subclass, as configs are."""

    def __setitem__(self, key: Any, value: Any) -> None:
        CALLS.append("setitem")
        super().__setitem__(key, value)


class Sequence(list[Any]):
    """A list's subclass."""

    def append(self, item: Any) -> None:
        CALLS.append("append")
        super().append(item)

    def extend(self, items: Any) -> None:
        CALLS.append("extend")
        super().extend(items)


class Ordered(collections.OrderedDict[str, Any]):
    pass


class Keywords:
    def __new__(cls, *, size: int) -> "Keywords":
        CALLS.append("new")
        return object.__new__(cls)

    def __getnewargs_ex__(self) -> Any:
        return (), {"size": 3}


class Outer:
    class Inner(Loud):
        pass


class Kind(enum.Enum):
    EMA = "ema"


@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    rate: float


Point = collections.namedtuple("Point", "x y")


def _beside() -> dict[Any, Any]:
    """What trainers keep beside a state dict, one of each kind."""
    loud = Loud()
    loud.best, loud.again = [torch.ones(2), {"a": 1}], loud
    inner = Outer.Inner()
    inner.name = "inner"
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    return {
        "callbacks": {Loud: {"best": loud}, Kind.EMA: 3, Point(1, 2): 4, (1, "a"): 5, frozenset({1}): 6},
        "hyper_parameters": Mapping(name="a", inner=Mapping(layers=Sequence([1, Sequence([2])]))),
        "counts": collections.defaultdict(int, a=1),
        "counter": collections.Counter("hello"),
        "recent": collections.deque([1, 2, torch.ones(1)], maxlen=3),
        "ordered": Ordered(a=1),
        "numpy": [np.float64(3.5), np.int64(3), np.arange(4), np.array(["a"]), np.dtype("f2")],
        "paths": [Path("a/b"), io.BytesIO],
        "references": [os.system, Loud, print, functools.partial(int, "3"), torch.optim.Adam, len],
        "values": [Kind.EMA, Point(1, 2), Slots(0.1), inner, Keywords(size=3), slice(1, 2), range(3), complex(1, 2)],
        "time": [datetime.datetime(2022, 11, 23), datetime.timedelta(1), decimal.Decimal("1.5")],
        "sets": [{1, "a"}, frozenset({2}), b"bytes" * 100, bytearray(b"abc"), 1 << 100, -1.5, None, True, "ü"],
        "torch": [torch.Size([1, 2]), torch.device("cpu"), torch.float16, torch.nn.Linear(2, 2)],
        "errors": ValueError("a", 1),
        "optimizer_states": [optimiser.state_dict()],
    }


def _state() -> dict[str, torch.Tensor]:
    whole = torch.arange(24.0).reshape(4, 6)
    return {
        "whole": whole,
        "rows": whole[1:3],
        "turned": whole.T,
        "expanded": torch.ones(1).expand(3),
        "parameter": torch.nn.Parameter(torch.ones(2, 2)),
        "half": torch.arange(5).half(),
        "brain": torch.arange(5).bfloat16(),
        "eight": torch.ones(4).to(torch.float8_e4m3fn),
        "unsigned": torch.arange(3).to(torch.uint16),
        "counter": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
    }


def _assert_same(actual: dict[str, torch.Tensor], expected: Any) -> None:
    assert list(actual) == list(expected)
    for name, tensor in expected.items():
        assert actual[name].dtype == tensor.dtype and actual[name].shape == tensor.shape
        assert actual[name].float().equal(tensor.detach().float()), name


@pytest.fixture
def calls() -> Iterator[list[str]]:
    yield CALLS
    CALLS.clear()


@pytest.mark.parametrize("protocol", range(1, 6))
@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before torch 1.6"])
def test_every_protocol_gives_its_tensors_and_makes_nothing_that_lies_beside(
    tmp_path: Path, protocol: int, zipped: bool, calls: list[str]
) -> None:
    path = tmp_path / "last.ckpt"
    state = {name: tensor for name, tensor in _state().items() if zipped or name != "unsigned"}
    for held in ({"epoch": 3, **_beside(), "state_dict": state}, {**state, "beside": _beside()}):
        torch.save(held, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
        calls.clear()
        _assert_same(load_torch_file(path), state)
        assert not calls


@pytest.mark.parametrize("protocol", [1, 2, 4])
@pytest.mark.parametrize(
    "kind",
    [
        dict,
        Mapping,
        Ordered,
        collections.OrderedDict,
        lambda state: torch.nn.ParameterDict({"a": torch.ones(2)}).state_dict(),
    ],
)
def test_a_state_dict_of_any_kind_of_dict_is_found(tmp_path: Path, protocol: int, kind: Any) -> None:
    state = {"a": torch.ones(2)}
    for held in ({"state_dict": kind(state)}, kind(state), Mapping(state_dict=kind(state))):
        torch.save(held, tmp_path / "a.pt", pickle_protocol=protocol)
        _assert_same(load_torch_file(tmp_path / "a.pt"), state)


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _attacks(victim: str) -> dict[str, bytes]:
    """Pickles of one object that, unpickled without care, make a folder; one for each way to call something."""
    name, argument = b"cposix\nmkdir\n", _text(victim) + b"\x85"
    call = name + argument + b"R"
    partial = b"cfunctools\npartial\n" + name + b"\x85R"
    key = b"ctests.pipeline.tensors.test_torch_files\nHashed\n)\x81}" + _text("folder") + _text(victim) + b"sb"
    return {
        "GLOBAL, REDUCE": call,
        "STACK_GLOBAL, REDUCE": _text("posix") + _text("mkdir") + b"\x93" + argument + b"R",
        "INST": b"(" + _text(victim) + b"iposix\nmkdir\n",
        "OBJ": b"(" + name + _text(victim) + b"o",
        "a call of what was called": partial + argument + b"R",
        "EXT1": b"\x82\xf0" + argument + b"R",
        "an argument": b"cbuiltins\nrepr\n(" + call + b"tR",
        "NEWOBJ": b"ctests.pipeline.tensors.test_torch_files\nMaker\n" + argument + b"\x81",
        "NEWOBJ_EX": b"ctests.pipeline.tensors.test_torch_files\nMaker\n" + argument + b"}\x92",
        "BUILD": b"ctests.pipeline.tensors.test_torch_files\nMaker\n)\x81" + _text(victim) + b"b",
        "SETITEM": b"ctests.pipeline.tensors.test_torch_files\nMaker\n)\x81" + _text(victim) + b"Ns",
        "SETITEMS": b"ctests.pipeline.tensors.test_torch_files\nMaker\n)\x81(" + _text(victim) + b"Nu",
        "APPEND": b"ctests.pipeline.tensors.test_torch_files\nMaker\n)\x81" + _text(victim) + b"a",
        "APPENDS": b"ctests.pipeline.tensors.test_torch_files\nMaker\n)\x81(" + _text(victim) + b"e",
        "ADDITEMS": b"ctests.pipeline.tensors.test_torch_files\nMaker\n)\x81(" + _text(victim) + b"\x90",
        "a key's hash": b"}" + key + b"Ns",
        "a set's member": b"\x8f(" + key + b"\x90",
        "a frozen set's member": b"(" + key + b"\x91",
    }


class Maker:
    """Makes a folder, whatever is done with it."""

    def __new__(cls, *folder: str) -> "Maker":
        for name in folder:
            Path(name).mkdir()
        return object.__new__(cls)

    def make(self, folder: Any, *_: Any) -> None:
        Path(
            folder[0] if isinstance(folder, list) else next(iter(folder)) if isinstance(folder, dict) else folder
        ).mkdir()

    __setstate__ = __setitem__ = append = extend = add = make


class Hashed:
    """Makes a folder where a container asks for its hash."""

    folder = ""

    def __hash__(self) -> int:
        Path(self.folder).mkdir()
        return 1


WAYS = list(_attacks(""))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before torch 1.6"])
def test_no_opcode_of_a_malicious_pickle_does_anything(tmp_path: Path, way: str, zipped: bool) -> None:
    victim, path = tmp_path / "victim", tmp_path / "evil.ckpt"
    attack = _attacks(str(victim))[way]
    copyreg.add_extension("posix", "mkdir", 0xF0)
    try:
        pickle.loads(b"\x80\x04" + attack + b".")
        assert victim.is_dir(), "an attack that does nothing anyway"
        victim.rmdir()
        _save_beside(path, attack, zipped=zipped)
        _assert_same(load_torch_file(path), {"a": torch.ones(2)})
    finally:
        copyreg.remove_extension("posix", "mkdir", 0xF0)
        copyreg.clear_extension_cache()
    assert not victim.exists()


def _save_beside(path: Path, attack: bytes, *, zipped: bool) -> None:
    """Save a tensor, and write the attack in place of a word that lies beside it."""
    torch.save({"extra": "here", "state_dict": {"a": torch.ones(2)}}, path, _use_new_zipfile_serialization=zipped)
    word = _text("here")
    if not zipped:
        path.write_bytes(path.read_bytes().replace(word, attack, 1))
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        for name, content in members.items():
            archive.writestr(name, content.replace(word, attack, 1) if name.endswith("data.pkl") else content)


def test_only_the_numbers_of_the_state_dict_are_read(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"optimizer_states": [torch.ones(5)], "state_dict": {"a": torch.ones(2)}}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if not name.endswith("data/0")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    _assert_same(load_torch_file(path), {"a": torch.ones(2)})


def test_an_archive_without_checksums_is_read_and_a_wrong_checksum_is_named(tmp_path: Path) -> None:
    path, state = tmp_path / "a.pt", {"a": torch.arange(1000.0)}
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    content[content.index(state["a"].numpy().tobytes()) + 17] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"a.pt: cannot be read as tensors \(it is damaged, .*CRC-32.*data/0.*copy it again"
    ):
        load_torch_file(path)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, path)
    finally:
        torch.serialization.set_crc32_options(True)
    _assert_same(load_torch_file(path), state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((b"K\x05", b"K\x7f"), r"its data/0 has 20 bytes, not 508"),
        ((b"K\x05\x85", b"K\x7f\x85"), r"it is damaged, RuntimeError"),
        ((b"FloatStorage", b"QuickStorage"), r"a tensor that cannot be"),
        ((b"little", b"big"), r"its numbers are big-endian"),
    ],
)
def test_a_tensor_beyond_its_numbers_is_refused(tmp_path: Path, change: tuple[bytes, bytes], message: str) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(5)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(*change) if not name.endswith("data/0") else content)
    with pytest.raises(InputError, match=rf"a.pt: cannot be read as tensors \(.*{message}"):
        load_torch_file(path)


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "script.pt"))
    (tmp_path / "plain.pt").write_bytes(pickle.dumps([1, 2]))
    (tmp_path / "text.pt").write_bytes(b"not a checkpoint")
    (tmp_path / "empty.pt").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("a/b.txt", "a")
    for name in ("script", "plain", "text", "empty", "other"):
        with pytest.raises(
            InputError, match=rf"{name}.pt: cannot be read as tensors \(it is|{name}.pt: .*\(it holds"
        ) as error:
            load_torch_file(tmp_path / f"{name}.pt")
        assert "\n" not in str(error.value)
