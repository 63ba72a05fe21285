"""What the dashboard was started with."""

from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Settings:
    """What the dashboard was started with.

    Attributes:
        outputs: Absolute directory of the runs that are shown; nothing outside is.
        max_upload_mb: MiB that one visitor may have uploaded at a time.
        jobs: How many runs may be at work at the same time; more of them wait.
    """

    outputs: Path
    max_upload_mb: int = 500
    jobs: int = 2

    @property
    def registry(self) -> Path:
        """Directory of the registry of this machine."""
        return self.outputs / "registry"

    @property
    def cache(self) -> Path:
        """Directory of what runs have downloaded or decoded."""
        return self.outputs / "cache"

    @property
    def max_upload_bytes(self) -> int:
        """The limit of uploads in bytes."""
        return self.max_upload_mb * MEBIBYTE
