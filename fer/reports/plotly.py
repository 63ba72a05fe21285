"""Plotly's library, small enough to stand in a page: compressed, unpacked by the browser when a chart is near."""

import base64
import gzip
from functools import cache

from plotly.offline import get_plotlyjs


@cache
def compress_plotly() -> str:
    """Return Plotly's script, compressed by gzip, as base64; the same bytes again for the same version."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode("ascii")
