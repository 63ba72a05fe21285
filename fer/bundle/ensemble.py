"""Several bundles as one: which fit together, what their bundle.yaml says, and how it is written."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from fer.bundle.metadata import (
    DESCRIPTION_FILE,
    ENSEMBLE_FORMAT,
    MAX_MEMBERS,
    MEMBERS_DIR,
    MIN_MEMBERS,
    MODEL_CARD_FILE,
    NETWORK_FILE,
    ONNX_DIR,
    SAMPLES_FILE,
    WEIGHTS_FILE,
    BundleDescription,
    FaceFormat,
    combine_digests,
    parse_ensemble,
)
from fer.core.io import atomic_write, write_text
from fer.errors import ModelError

# What a member brings, as far as it has it; its description comes last, and what it describes is there.
_MEMBER_FILES = (WEIGHTS_FILE, MODEL_CARD_FILE, SAMPLES_FILE, f"{ONNX_DIR}/{NETWORK_FILE}", DESCRIPTION_FILE)


def check_members(members: Sequence[BundleDescription], names: Sequence[str]) -> None:
    """Check that models can be one ensemble.

    Args:
        members: Their descriptions.
        names: What the user calls them.

    Raises:
        ModelError: They are too few or too many, one is an ensemble, sees clips or is there twice, or classes differ.
    """
    if not MIN_MEMBERS <= len(members) <= MAX_MEMBERS:
        raise ModelError(f"an ensemble has {MIN_MEMBERS} to {MAX_MEMBERS} members, not {len(members)}")
    first = members[0]
    seen: dict[str, str] = {}
    for name, member in zip(names, members, strict=True):
        if member.members:
            raise ModelError(f"{name}: is an ensemble, which cannot be a member of another; name its members instead")
        if member.temporal is not None:
            raise ModelError(f"{name}: is a model of clips, which cannot be a member of an ensemble; leave it out")
        if member.sha256 in seen:
            raise ModelError(
                f"{name}: is the same model as {seen[member.sha256]}; name each member once, "
                "ensemble.weights=validation weighs them"
            )
        seen[member.sha256] = name
        if set(member.classes) != set(first.classes):
            raise ModelError(
                f"{name}: has the classes {', '.join(member.classes)}, but {names[0]} has {', '.join(first.classes)}; "
                "members of an ensemble have the same classes"
            )


def build_ensemble_content(
    members: Sequence[BundleDescription], weights: Sequence[float], entries: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of an ensemble's bundle.yaml.

    Args:
        members: Descriptions of networks that ``check_members`` has let pass.
        weights: What each counts in the mean, with the sum 1.
        entries: Further entries, or other values: calibration, metrics.
    """
    faces = FaceFormat(max(member.faces.side for member in members), any(member.faces.colour for member in members))
    fingerprints = {member.content.get("data_fingerprint") for member in members}
    return {
        "format": ENSEMBLE_FORMAT,
        "architecture": f"ensemble of {len(members)} networks",
        "classes": list(members[0].classes),
        "image_size": max(member.image_size for member in members),
        **({"affect": True} if all(member.affect for member in members) else {}),
        "faces": asdict(faces),
        "members": [
            {"weight": weight, "architecture": member.architecture, "bundle_sha256": member.sha256}
            for weight, member in zip(weights, members, strict=True)
        ],
        "temperature": 1.0,
        **({"data_fingerprint": fingerprints.pop()} if len(fingerprints) == 1 else {}),
        **entries,
        "weights_sha256": combine_digests(weights, [member.weights_sha256 for member in members]),
    }


def compose_ensemble(members: Sequence[BundleDescription], names: Sequence[str]) -> BundleDescription:
    """Describe an ensemble that stands in no directory of its own: plain mean, no calibration of the mean.

    Args:
        members: The descriptions of its networks.
        names: What the user calls them.

    Raises:
        ModelError: They cannot be one ensemble.
    """
    check_members(members, names)
    content = build_ensemble_content(members, build_equal_weights(len(members)), {})
    return parse_ensemble(content, members, Path(), hashlib.sha256(_format_content(content).encode()).hexdigest())


def build_equal_weights(count: int) -> list[float]:
    """Return the weights of a plain mean."""
    return [1 / count] * count


def write_ensemble(folder: Path, members: Sequence[BundleDescription], content: Mapping[str, Any]) -> None:
    """Write the bundle of an ensemble, with copies of its members' bundles.

    Args:
        folder: Directory of the bundle; what it held before is replaced.
        members: The descriptions of its networks.
        content: What ``build_ensemble_content`` returned for them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for number, member in enumerate(members):
        for name in _MEMBER_FILES:
            # The exported network may stand beside the bundle, in its run.
            sources = (member.folder / name, member.folder.parent / name)
            source = next((path for path in sources[: 2 if name.startswith(ONNX_DIR) else 1] if path.is_file()), None)
            if source is not None:
                with atomic_write(folder / MEMBERS_DIR / str(number) / name) as temporary:
                    shutil.copyfile(source, temporary)
    write_ensemble_description(folder, content)


def write_ensemble_description(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the bundle.yaml of an ensemble whose members are there."""
    write_text(folder / DESCRIPTION_FILE, _format_content(content))


def _format_content(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True)
