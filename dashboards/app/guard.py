"""Guard: a request -> FiftyOne's App, our `/media`, or a refusal.

FiftyOne asks nobody who they are. So foreign callers are refused (`pipeline.serving.callers`), and only those of
FiftyOne's routes are served that the views need: none of them reads or writes a file that a request names.
"""

from starlette.responses import PlainTextResponse
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.serving.callers import refuse_foreign

# Left out: files by name (/media, .../commit-mask, which writes one, /screenshot), and what our views have not
# (frames, videos, model downloads).
ROUTES = (
    "/aggregate",
    "/dataset/{dataset_id}/groups/{group_id}",
    "/dataset/{dataset_id}/groups/{group_id}/slices/{slice}",
    "/dataset/{dataset_id}/sample/{sample_id}",
    "/dataset/{dataset_id}/sample/{sample_id}/{field_path}/{field_id}",
    "/dataset/{dataset_id}/sample/{sample_id}/group/intrinsics",
    "/dataset/{dataset_id}/sample/{sample_id}/group/static_transforms",
    "/dataset/{dataset_id}/sample/{sample_id}/intrinsics",
    "/dataset/{dataset_id}/sample/{sample_id}/static_transforms",
    "/dataset/{dataset_id}/sample/{sample_id}/tags",
    "/dataset/{dataset_id}/sample/{sample_id}/tags/{tag_id}",
    "/dataset/{dataset_id}/tags",
    "/dataset/{dataset_id}/tags/counts",
    "/embeddings/color-by-choices",
    "/embeddings/extended-stage",
    "/embeddings/plot",
    "/embeddings/selection",
    "/embeddings/v2/color",
    "/embeddings/v2/geometry",
    "/embeddings/v2/ids",
    "/embeddings/v2/lasso-stage",
    "/embeddings/v2/masks",
    "/embeddings/v2/run-info",
    "/embeddings/v2/runs-status",
    "/embeddings/v2/sample-info",
    "/event",
    "/events",
    "/features",
    "/fiftyone",
    "/geo",
    "/graphql",
    "/operators",
    "/operators/execute",
    "/operators/execute/generator",
    "/operators/resolve-execution-options",
    "/operators/resolve-placements",
    "/operators/resolve-type",
    "/operators/subscribe-execution-store",
    "/ontologies",
    "/plugins",
    "/plugins/{file:path}",
    "/sort",
    "/tag",
    "/tagging",
    "/values",
)
PAGES = ("assets", "datasets", "favicon.ico", "index.html", "model_evaluation.svg")
"""The first part of the paths of the App's own pages and files."""

_PATTERNS = [compile_path(route)[0] for route in ROUTES]


class Guard:
    """An ASGI application in front of FiftyOne's.

    Args:
        app: FiftyOne's.
        media: answers `/media`, always.
        port: at which this server is reached.
    """

    def __init__(self, app: ASGIApp, media: ASGIApp, *, port: int) -> None:
        self._app, self._media = app, media
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refuse(scope)
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # FiftyOne uses none
        elif refusal:
            await refusal(scope, receive, send)
        elif scope["path"] == "/media":
            await self._media(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refuse(self, scope: Scope) -> PlainTextResponse | None:
        """The refusal that a request gets, or None."""
        if foreign := refuse_foreign(scope["headers"], port=self._port):
            status, why = foreign
            return PlainTextResponse(why, status)
        if not is_open(scope["path"]):
            return PlainTextResponse("this route of FiftyOne's is closed", 404)
        return None


def is_open(path: str) -> bool:
    """Whether a path leads to what is served."""
    if path in ("/", "/media") or any(pattern.match(path) for pattern in _PATTERNS):
        return True
    return path.startswith("/") and path.split("/")[1] in PAGES
