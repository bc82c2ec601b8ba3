"""Rendering: a template and values -> one HTML file that asks for nothing outside itself."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

SHARED = Path(__file__).parent / "templates"
STYLE, SCRIPT = "style.css", "script.js"


def render(
    folder: Path, template: str, values: Mapping[str, Any], *, filters: Mapping[str, Callable[..., Any]]
) -> bytes:
    """Fill a template; whatever it is given is text, never markup.

    It may extend `base.html.jinja`, whose policy allows no script but the page's own. Equal input gives equal bytes.

    Args:
        folder: of the template, and of its `style.css`, which follows the one that all pages share.
        filters: of the template, by name, besides `percent` and `count`.
    """
    script = _read(SHARED / SCRIPT)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = _environment(folder)
    environment.filters.update(filters)
    page = environment.get_template(template)
    style = _read(SHARED / STYLE) + _read(folder / STYLE)
    return page.render(**values, style=style, script=script, script_sha256=digest).encode()


def percent(share: float | None) -> str:
    """Write a share: `0.4%`, `3.4%`, `34%`; a dash where there is none."""
    if share is None:
        return "\N{EN DASH}"
    return f"{100 * share:.1f}%" if abs(share) < 0.0995 else f"{100 * share:.0f}%"


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["count"] = "{:,}".format
    return environment


def _read(file: Path) -> Markup:
    """Read a file of our own that stands in the page as it is."""
    return Markup(file.read_text(encoding="utf-8"))
