"""What a registry says of a version: whether it may be used."""

from typing import Literal

Status = Literal["Approved", "PendingManualApproval", "Rejected", "Archived"]
APPROVED: Status = "Approved"
PENDING: Status = "PendingManualApproval"
REJECTED: Status = "Rejected"
ARCHIVED: Status = "Archived"
