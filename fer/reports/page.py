"""Render a template into one self-contained HTML file."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fer.core.io import atomic_write
from fer.core.places import hide_places, hide_places_within
from fer.reports import formats
from fer.reports.colors import emotion_colour
from fer.reports.images import jpeg_data_uri, png_data_uri

_TEMPLATES = Path(__file__).parent / "templates"

_FILTERS = (
    formats.percent,
    formats.decimals,
    formats.significant,
    formats.p_value,
    formats.interval,
    formats.count,
    formats.points,
    formats.signed,
    formats.short_duration,
    formats.seconds,
    formats.date,
    formats.duration,
    formats.clock,
    png_data_uri,
    jpeg_data_uri,
    emotion_colour,
)


@cache
def create_environment() -> jinja2.Environment:
    """Create the environment of the templates, which compiles each of them once."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Pages are passed on. Markup is made of texts that went through here, and of figures.
        finalize=lambda value: hide_places(value) if type(value) is str else value,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    return environment


def render(template: str, content: Mapping[str, Any]) -> str:
    """Render the HTML page of ``templates/<template>``.

    Everything in ``content`` is escaped unless it is ``Markup``. Raises jinja2.UndefinedError where the template names
    something that ``content`` lacks.
    """
    stylesheet = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return create_environment().get_template(template).render(content, stylesheet=stylesheet)


def read_script(name: str) -> str:
    """Read the script ``templates/<name>``, to stand inside a ``<script>`` element."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def encode_json_for_script(content: Any) -> Markup:
    """Encode JSON that may stand inside a ``<script>`` element: nothing in it can end the element."""
    text = json.dumps(hide_places_within(content), separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", r"\u003c"))


def build_script_policy(scripts: Sequence[str], media: str) -> Markup:
    """Say what the browser may load: this page's own scripts, known by their hashes, and what ``media`` allows."""
    none = "'none'"
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return Markup(f"default-src 'none'; {media}; style-src 'unsafe-inline'; script-src {hashes or none}")


def write_page(html: str, path: Path) -> None:
    """Write ``html`` to ``path``, which is replaced only once the new page is complete."""
    with atomic_write(path) as temporary:
        # Paths and command lines that are not valid text arrive as lone surrogates, which UTF-8 cannot hold.
        temporary.write_text(html, encoding="utf-8", errors="replace", newline="\n")
