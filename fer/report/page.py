"""From a template to one self-contained HTML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fer.files import written_beside
from fer.report import formats
from fer.report.colours import emotion_colour
from fer.report.pictures import png_data_uri

_TEMPLATES = Path(__file__).parent / "templates"

_FILTERS = (
    formats.percent,
    formats.decimals,
    formats.significant,
    formats.p_value,
    formats.interval,
    formats.count,
    formats.duration,
    formats.clock,
    png_data_uri,
    emotion_colour,
)


def render(template: str, content: Mapping[str, Any]) -> str:
    """The HTML page that ``templates/<template>`` makes of ``content``.

    Everything in ``content`` is escaped unless it is ``Markup``. Raises jinja2.UndefinedError where the
    template names something that ``content`` lacks.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    stylesheet = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(content, stylesheet=stylesheet)


def page_script(name: str) -> str:
    """The text of the script ``templates/<name>``, to stand inside a ``<script>`` element."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def write_page(html: str, path: Path) -> None:
    """Write ``html`` to ``path``, which is replaced only once the new page is complete."""
    with written_beside(path) as beside:
        # Paths and command lines that are not valid text arrive as lone surrogates, which UTF-8 cannot hold.
        beside.write_text(html, encoding="utf-8", errors="replace", newline="\n")
