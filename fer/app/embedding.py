"""A page of the project inside another page: it runs its own scripts there, and reaches nothing else."""

import json
from pathlib import Path

from fer.app.runs import is_within
from fer.core.io import read_at_most
from fer.errors import UserError

# A browser gets the page as one message. The largest reports of studies have some 20 MB.
MAX_PAGE_BYTES = 64 << 20
# The outer frame, which Streamlit's own lets do what it likes, only makes the inner one. The page in that has an origin
# of its own, so that it cannot touch the dashboard, and, by the policy that it inherits, no network. It is loaded as a
# blob because the anchors of a page given as `srcdoc` would lead to those of the dashboard.
_FRAME = """\
<!doctype html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' blob:; \
style-src 'unsafe-inline'; img-src data: blob:; media-src data: blob:; font-src data:; frame-src blob:">
<style>html, body, iframe {{ margin: 0; border: 0; width: 100%; height: 100%; display: block; }}</style>
<iframe title="Report" sandbox="allow-scripts allow-downloads allow-popups"></iframe>
<script>
document.querySelector("iframe").src = URL.createObjectURL(new Blob([{page}], {{type: "text/html"}}));
</script>
"""


def build_frame(page: str) -> str:
    """Return a page that shows another one, which can neither touch what is around it nor ask the network.

    Args:
        page: The whole HTML of the inner page.
    """
    # In a script nothing but these could end it.
    return _FRAME.format(page=json.dumps(page).replace("<", "\\u003c"))


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
