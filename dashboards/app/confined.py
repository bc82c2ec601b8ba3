"""Confined: what a request may have FiftyOne's server run -> its own view stages, aggregations and operators.

FiftyOne makes an object of whatever class a request names, `subprocess.Popen` too, and asks nobody who they are: on a
machine of several users that would be a shell for each of them.
"""

from typing import Any

from fiftyone.core.aggregations import Aggregation
from fiftyone.core.stages import Mongo, ViewStage
from fiftyone.operators.registry import OperatorRegistry

REFUSED_OPERATORS = ("@voxel51/operators/list_files",)  # lists any folder of this machine
WRITING = ("$out", "$merge")  # write into any collection, from which FiftyOne reads classes


def confine() -> None:
    """Confine the FiftyOne of this process, for good; once is enough."""
    for base in (ViewStage, Aggregation):
        _make_own_classes_only(base)
    listed = OperatorRegistry.list_operators

    def list_operators(registry: Any, *arguments: Any, **options: Any) -> list[Any]:
        return [found for found in listed(registry, *arguments, **options) if found.uri not in REFUSED_OPERATORS]

    OperatorRegistry.list_operators = list_operators  # what is not listed cannot be executed either


def _make_own_classes_only(base: Any) -> None:
    """Let a description from a request name subclasses of `base` in its own module, and no other class."""
    known = {f"{base.__module__}.{name}": found for name, found in _subclasses(base).items()}
    make = base._from_dict.__func__

    def from_dict(cls: Any, description: dict[str, Any]) -> Any:
        name = description["_cls"]
        if name not in known:
            raise ValueError(f"{name!r} is not one of FiftyOne's")
        if known[name] is Mongo:
            steps = dict(description["kwargs"]).get("pipeline", ())
            if any(key in WRITING for step in steps for key in step):
                raise ValueError("a view must not write")
        return make(cls, description)

    base._from_dict = classmethod(from_dict)


def _subclasses(base: Any) -> dict[str, Any]:
    """All subclasses of a class in its module, by name."""
    found: dict[str, Any] = {}
    for inner in base.__subclasses__():
        found |= {inner.__name__: inner} if inner.__module__ == base.__module__ else {}
        found |= _subclasses(inner)
    return found
