"""A page of the project inside another page: it runs its own scripts there, and reaches nothing else."""

import base64
import json
import mimetypes
import re
from collections.abc import Mapping
from pathlib import Path

from fer.app.runs import is_within
from fer.core.io import read_at_most
from fer.errors import UserError

# A browser gets the page as one message. The largest reports of studies have some 20 MB.
MAX_PAGE_BYTES = 64 << 20
# Of all clips in a page together; they come with it whenever it is shown.
MAX_MEDIA_BYTES = 20 << 20
# The outer frame, which Streamlit's own lets do what it likes, only makes the inner one. The page in that has an origin
# of its own, so that it cannot touch the dashboard, and, by the policy that it inherits, no network.
_FRAME = """\
<!doctype html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' blob:; \
style-src 'unsafe-inline'; img-src data: blob:; media-src data: blob:; font-src data:; frame-src blob:">
<style>html, body, iframe {{ margin: 0; border: 0; width: 100%; height: 100%; display: block; }}</style>
<iframe title="Report" sandbox="{sandbox}"></iframe>
<script>
const page = new Blob([{page}], {{type: "text/html; charset=utf-8"}});
document.querySelector("iframe").src = URL.createObjectURL(page);
</script>
"""
_SANDBOX = "allow-scripts allow-downloads allow-popups allow-popups-to-escape-sandbox"
# In such a frame links lead nowhere: those within the page are followed here, those to the web in a tab of their own.
_LINKS = """\
<script>
addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link) return;
  const place = link.getAttribute("href");
  if (/^https?:/.test(place)) {
    link.target = "_blank";
    link.rel = "noreferrer";
    return;
  }
  event.preventDefault();
  if (place.startsWith("#")) document.getElementById(decodeURIComponent(place.slice(1)))?.scrollIntoView();
});
</script>
"""
_DOCTYPE = re.compile(r"\s*<!doctype html>", re.IGNORECASE)


def build_frame(page: str) -> str:
    """Return a page that shows another one, which can neither touch what is around it nor ask the network.

    Args:
        page: The whole HTML of the inner page.
    """
    # Before the page's own policy is read, which allows no scripts but its own.
    start = match.end() if (match := _DOCTYPE.match(page)) else 0
    linked = f"{page[:start]}{_LINKS}{page[start:]}"
    # In a script nothing but these could end it.
    return _FRAME.format(sandbox=_SANDBOX, page=json.dumps(linked).replace("<", "\\u003c"))


def embed_media(page: str, media: Mapping[str, Path]) -> str:
    """Return a page that holds the clips and pictures which it names by their files; in a frame it cannot reach them.

    Args:
        page: The whole HTML.
        media: The files by their addresses in the page; what is too much, or no browser plays, is left out.
    """
    remaining = MAX_MEDIA_BYTES
    for address, path in media.items():
        kind, _ = mimetypes.guess_type(path.name)
        content = read_at_most(path, remaining) if kind and f'src="{address}"' in page else None
        if content is not None:
            remaining -= len(content)
            encoded = base64.b64encode(content).decode("ascii")
            page = page.replace(f'src="{address}"', f'src="data:{kind};base64,{encoded}"')
    return page


def read_page(path: Path, root: Path) -> str:
    """Read a page of a run.

    Args:
        path: The page.
        root: The directory that it must lie in, wherever links lead.

    Raises:
        UserError: It is not there, lies elsewhere, or is too large to be shown within another page.
    """
    if not is_within(path, root):
        raise UserError("The page lies outside of the dashboard's directory, and is not shown.")
    try:
        content = read_at_most(path, MAX_PAGE_BYTES)
    except OSError:
        raise UserError("There is no such page any more.") from None
    if content is None:
        raise UserError(f"The page has more than {MAX_PAGE_BYTES >> 20} MB; download it and open it in the browser.")
    return content.decode(errors="replace")
