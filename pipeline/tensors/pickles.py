"""Pickles: a pickle that nobody vouches for -> plain containers, and where the bytes of its tensors lie.

Nothing that it names is imported or called. What an opcode would make of a class or function becomes an `Inert` that
keeps what it was given; the few functions of torch that rebuild tensors are known by name, and done here.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pickle import UnpicklingError
from typing import Any, BinaryIO, ClassVar, NamedTuple

import torch

_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
_DTYPES = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}


class Name(NamedTuple):
    """A class or function, by reference alone."""

    module: str
    name: str


@dataclass(eq=False)
class Inert:
    """Stands for an object of any other class: does nothing, and keeps what the pickle gave it."""

    given: list[Any]
    """Arguments, then states."""
    items: dict[str, Any] = field(default_factory=dict)
    """Those with names, of a dict's subclass."""


@dataclass(frozen=True)
class Storage:
    """Where the numbers of tensors lie."""

    key: str
    dtype: torch.dtype
    count: int
    """Numbers in it."""
    first: int = 0
    """The number at which a view of it begins."""

    @property
    def bytes(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class TensorRecord:
    """A tensor, as the pickle describes it."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def load_inert(file: BinaryIO) -> tuple[Any, dict[str, Storage]]:
    """Read a pickle.

    Returns:
        Its value: dicts (without the keys that are no strings), lists, tuples, strings and numbers as they are, tensors
        as TensorRecord, all else as Inert or Name. And the storages of its tensors by key.

    Raises:
        UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, OverflowError: it is damaged.
    """
    unpickler = _Unpickler(file, encoding="latin1")
    return unpickler.load(), unpickler.storages


def named_items(value: Any) -> dict[str, Any]:
    """Return the named items of a dict, or of an object that stands for a subclass of one; empty: it is something else.

    How a subclass is written depends on the protocol and on the class: as items, or as a dict among the arguments.
    """
    if isinstance(value, dict):
        return value
    if not isinstance(value, Inert):
        return {}
    return value.items or next((found for given in value.given if (found := _pairs(given))), {})


def _pairs(value: Any) -> dict[str, Any]:
    if isinstance(value, list) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value):
        return {key: item for key, item in value if isinstance(key, str)}
    return value if isinstance(value, dict) else {}


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> TensorRecord:
    return _tensor_of_dtype(storage, offset, shape, stride, None, None, None)


def _tensor_of_dtype(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> TensorRecord:
    """Describe a tensor; the third of the rest is its dtype, None: its storage's.

    Raises:
        UnpicklingError: these are not the parts of a tensor.
    """
    dtype = rest[2] and _DTYPES.get(".".join(rest[2]))
    numbers = [offset, *shape, *stride]
    sound = isinstance(storage, Storage) and all(type(number) is int and number >= 0 for number in numbers)
    if not sound or len(shape) != len(stride) or (rest[2] and dtype is None):
        raise UnpicklingError("it describes a tensor that cannot be")
    return TensorRecord(storage, dtype or storage.dtype, storage.first + offset, tuple(shape), tuple(stride))


def _first(tensor: Any, *_: Any) -> Any:
    return tensor


def _of_subclass(function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    return _make(function, arguments)


_REBUILDING: dict[Any, Callable[..., Any]] = {
    Name("torch._utils", "_rebuild_tensor"): _tensor,
    Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Name("torch._utils", "_rebuild_tensor_v3"): _tensor_of_dtype,
    Name("torch._utils", "_rebuild_parameter"): _first,
    Name("torch._utils", "_rebuild_parameter_with_state"): _first,
    Name("torch.nn.parameter", "Parameter"): _first,
    Name("torch._tensor", "_rebuild_from_type_v2"): _of_subclass,
}


def _make(what: Any, arguments: Any) -> Any:
    """Do what calling `what` means for tensors; anything else becomes inert."""
    rebuild = _REBUILDING.get(what) if isinstance(what, Name) else None
    return rebuild(*arguments) if rebuild else Inert(list(arguments) if isinstance(arguments, list | tuple) else [])


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler, in which each opcode that would look up, call or change an object does something else."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)  # of opcodes
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: BinaryIO, *, encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        return Name(module, name)

    def get_extension(self, code: int) -> None:
        self.append(Name("copyreg", str(code)))

    def persistent_load(self, pid: Any) -> Any:
        """Take the place of a storage: ("storage", its class, key, device, size[, view of older files])."""
        if not (isinstance(pid, tuple) and 5 <= len(pid) <= 6 and pid[0] == "storage" and isinstance(pid[1], Name)):
            return Inert([])
        _, kind, key, _, size, *older = pid
        dtype = _STORAGES.get(kind.name)
        view = older[0] if older and older[0] is not None else (key, 0, size)
        if dtype is None or type(size) is not int or not isinstance(view, tuple) or len(view) != 3:
            return Inert([])
        self.storages.setdefault(str(key), Storage(str(key), dtype, size))
        return Storage(str(key), dtype, size, first=view[1])

    def _instantiate(self, klass: Any, args: Any) -> None:
        self.append(_make(klass, args))

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = _make(self.stack[-1], arguments)

    def _new_by_keywords(self) -> None:
        self.stack.pop()
        self._reduce()

    def _build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].given.append(state)

    def _set(self, items: list[Any]) -> None:
        """Add items to a dict or to what stands for one."""
        target = self.stack[-1]
        held = target.items if isinstance(target, Inert) else target
        if isinstance(held, dict):
            held.update((key, value) for key, value in zip(items[::2], items[1::2], strict=True) if type(key) is str)

    def _set_one(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _set_many(self) -> None:
        self._set(self.pop_mark())

    def _make_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._set(items)

    def _add(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _add_one(self) -> None:
        self._add([self.stack.pop()])

    def _add_many(self) -> None:
        self._add(self.pop_mark())

    def _add_to_set(self) -> None:
        self.pop_mark()

    def _make_frozen_set(self) -> None:
        items = self.pop_mark()  # which gives self.append another meaning
        self.append(Inert(items))

    def _make_bytes(self) -> None:
        """Read no more than there is, whatever length the pickle states."""
        size = int.from_bytes(self.read(8), "little")
        self.append(self.read(size))

    dispatch |= {
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _reduce,
        pickle.NEWOBJ_EX[0]: _new_by_keywords,
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _set_one,
        pickle.SETITEMS[0]: _set_many,
        pickle.DICT[0]: _make_dict,
        pickle.APPEND[0]: _add_one,
        pickle.APPENDS[0]: _add_many,
        pickle.ADDITEMS[0]: _add_to_set,
        pickle.FROZENSET[0]: _make_frozen_set,
        pickle.BYTEARRAY8[0]: _make_bytes,
    }
