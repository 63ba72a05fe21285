"""A bearer token in a file that only its owner can read, for the server and its clients."""

import os
import re
import stat
from pathlib import Path

from fer.errors import UserError

MAX_TOKEN_BYTES = 4096
# What RFC 6750 allows in a bearer token.
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


def read_token(path: Path) -> bytes:
    """Return the token in a file. Raises UserError where it holds none, or others can read it."""
    try:
        # A pipe without a writer would wait for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise UserError(f"--token-file={path}: not a file; name one that holds the token alone")
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UserError(f"--token-file={path}: others can read it; run chmod 600 {path}")
            token = file.read(MAX_TOKEN_BYTES + 1).strip()
    except OSError as error:
        raise UserError(f"--token-file={path}: cannot be read ({error.strerror}); name a file with the token") from None
    if not token:
        raise UserError(f"--token-file={path}: the file is empty; write a long random token into it")
    if len(token) > MAX_TOKEN_BYTES or not _TOKEN.fullmatch(token):
        raise UserError(
            f"--token-file={path}: must hold one token of letters, digits and -._~+/, at most {MAX_TOKEN_BYTES:,} bytes"
        )
    return token
