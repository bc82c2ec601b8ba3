"""A request names a class or an operator: FiftyOne's own are used, any other is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.app.requests import ask
from tests.dashboards.conftest import App

HERE = Path(__file__).resolve()


@pytest.fixture
def dataset(app: App) -> Iterator[Any]:
    from dashboards.app.documents import FLAT, Row, write_samples
    from dashboards.app.named import forget, open_named

    dataset = open_named("confined", default_slice=None)
    write_samples(dataset, [Row(name, {FLAT: {"filepath": f"/{name}.jpg"}}) for name in "ab"], labels={})
    yield dataset
    forget("confined")


def _aggregate(app: App, *, stage: dict[str, Any] | None = None, aggregation: str = "Count") -> tuple[int, str]:
    if "." not in aggregation:
        aggregation = f"fiftyone.core.aggregations.{aggregation}"
    order = {
        "dataset": "confined",
        "view": [stage] if stage else [],
        "aggregations": [{"_cls": aggregation, "kwargs": [["field_or_expr", "filepath"]]}],
    }
    status, _, content = ask(app.port, "/aggregate", method="POST", body=json.dumps(order))
    return status, content.decode()


def test_views_and_aggregations_of_fiftyones_own_work(app: App, dataset: Any) -> None:
    assert _aggregate(app) == (200, '{"aggregate": [2]}')
    limit = {"_cls": "fiftyone.core.stages.Limit", "kwargs": [["limit", 1]]}
    assert _aggregate(app, stage=limit) == (200, '{"aggregate": [1]}')
    match = {"_cls": "fiftyone.core.stages.Mongo", "kwargs": [["pipeline", [{"$match": {"filepath": "/b.jpg"}}]]]}
    assert _aggregate(app, stage=match) == (200, '{"aggregate": [1]}')


@pytest.mark.parametrize(
    "name", ["subprocess.Popen", "fiftyone.core.stages.subprocess.Popen", "fiftyone.core.stages.deepcopy"]
)
def test_no_other_class_is_made(app: App, dataset: Any, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "mark"
    status, said = _aggregate(app, stage={"_cls": name, "kwargs": [["args", ["touch", str(mark)]]]})
    assert status == 500 and "is not one of FiftyOne's" in said
    assert _aggregate(app, aggregation=name)[0] == 500
    assert not mark.exists()


@pytest.mark.parametrize("step", [{"$out": "datasets"}, {"$merge": {"into": "datasets"}}], ids=["$out", "$merge"])
def test_no_view_writes(app: App, dataset: Any, step: dict[str, Any]) -> None:
    stage = {"_cls": "fiftyone.core.stages.Mongo", "kwargs": [["pipeline", [step]]]}
    status, said = _aggregate(app, stage=stage)
    assert status == 500 and "a view must not write" in said


@pytest.mark.parametrize("route", ["execute", "execute/generator", "subscribe-execution-store"])
def test_no_operator_lists_folders(app: App, route: str) -> None:
    order = {"operator_uri": "@voxel51/operators/list_files", "params": {"path": str(HERE.parent)}}
    status, _, content = ask(app.port, f"/operators/{route}", method="POST", body=json.dumps(order))
    assert status >= 400 and HERE.name.encode() not in content
