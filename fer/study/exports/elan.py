"""Scenes, events and the strongest moments as annotations for ELAN: a file a stimulus, after EAF 3.0."""

import mimetypes
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree

import pandas as pd

from fer.core.io import atomic_write
from fer.study.exports.moments import list_moments, name_moment
from fer.study.exports.prepared import PreparedStudy

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
# The same study gives the same bytes.
_DATE = "1970-01-01T00:00:00+00:00"
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class _Annotation(NamedTuple):
    start_ms: int
    end_ms: int
    text: str


def write_elan(study: PreparedStudy, directory: Path) -> list[Path]:
    """Write `STIMULUS.eaf` for each stimulus: tiers for scenes, events, and the moments of each measure.

    Args:
        study: The study.
        directory: Where to.
    """
    paths = []
    files = dict(zip(study.data.stimuli["stimulus"], study.data.stimuli["file"], strict=True))
    for stimulus, label in study.labels.items():
        tiers = _list_segments(study, stimulus) | _list_moments(study, stimulus)
        file = files[stimulus]
        document = _build_document(tiers, None if pd.isna(file) else PurePosixPath(str(file)).name)
        paths.append(directory / f"annotations_{label}.eaf")
        with atomic_write(paths[-1]) as temporary:
            ElementTree.indent(document)
            ElementTree.ElementTree(document).write(temporary, encoding="UTF-8", xml_declaration=True)
    return paths


def _list_segments(study: PreparedStudy, stimulus: str) -> dict[str, list[_Annotation]]:
    segments = study.data.segments[study.data.segments["stimulus"] == stimulus].dropna(subset=["start_s", "end_s"])
    tiers = {}
    for kind, name in (("scene", "scenes"), ("event", "events")):
        rows = segments[segments["kind"] == kind]
        tiers[name] = _list_annotations(zip(rows["start_s"], rows["end_s"], rows["segment"], strict=True))
    return tiers


def _list_moments(study: PreparedStudy, stimulus: str) -> dict[str, list[_Annotation]]:
    moments = list_moments(study.data, stimulus)
    tiers = {}
    for (measure, condition), rows in moments.groupby(["measure", "condition"], sort=False):
        name = f"moments {measure}" + (f" {condition}" if condition else "")
        texts = [name_moment(row) for _, row in rows.iterrows()]
        tiers[name] = _list_annotations(zip(rows["start_s"], rows["end_s"], texts, strict=True))
    return tiers


def _list_annotations(rows: Iterable[tuple[float, float, str]]) -> list[_Annotation]:
    annotations = []
    for start_s, end_s, text in rows:
        start_ms = max(round(start_s * 1000), 0)
        annotations.append(_Annotation(start_ms, max(round(end_s * 1000), start_ms + 1), str(text)))
    return sorted(annotations)


def _split_overlaps(annotations: list[_Annotation]) -> list[list[_Annotation]]:
    """Annotations on as few tiers as they need: on one of them none overlaps another. At least one."""
    tiers: list[list[_Annotation]] = [[]]
    for annotation in annotations:
        free = next((tier for tier in tiers if not tier or tier[-1].end_ms <= annotation.start_ms), None)
        if free is None:
            tiers.append(free := [])
        free.append(annotation)
    return tiers


def _build_document(tiers: dict[str, list[_Annotation]], media: str | None) -> ElementTree.Element:
    document = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            **{"AUTHOR": "fer-experiments", "DATE": _DATE, "FORMAT": "3.0", "VERSION": "3.0"},
            f"{{{_INSTANCE}}}noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    header = ElementTree.SubElement(document, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    if media:
        # By the name alone: ELAN looks beside the .eaf, and asks. Where the file lay is nobody's business.
        kind = mimetypes.guess_type(media)[0] or "video/mp4"
        url = f"./{quote(_ILLEGAL.sub('', media))}"
        attributes = {"MEDIA_URL": url, "RELATIVE_MEDIA_URL": url, "MIME_TYPE": kind}
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", attributes)
    lanes = {name: _split_overlaps(annotations) for name, annotations in tiers.items()}
    named: dict[str, list[_Annotation]] = {}
    for name, split in lanes.items():
        for lane in split:
            named[_make_tier_name(name, named)] = lane
    count = sum(len(lane) for lane in named.values())
    ElementTree.SubElement(header, "PROPERTY", {"NAME": "lastUsedAnnotationId"}).text = str(count)
    slots = iter(_add_time_slots(document, [annotation for lane in named.values() for annotation in lane]))
    for name, lane in named.items():
        tier = ElementTree.SubElement(document, "TIER", {"LINGUISTIC_TYPE_REF": "default-lt", "TIER_ID": name})
        for annotation in lane:
            number, start, end = next(slots)
            alignable = ElementTree.SubElement(
                ElementTree.SubElement(tier, "ANNOTATION"),
                "ALIGNABLE_ANNOTATION",
                {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end},
            )
            ElementTree.SubElement(alignable, "ANNOTATION_VALUE").text = _ILLEGAL.sub("", annotation.text)
    kind_of_tier = {"LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false"}
    ElementTree.SubElement(document, "LINGUISTIC_TYPE", kind_of_tier)
    return document


def _make_tier_name(name: str, used: Iterable[str]) -> str:
    name = unique = _ILLEGAL.sub("", name)
    number = 2
    while unique in used:
        unique, number = f"{name} {number}", number + 1
    return unique


def _add_time_slots(document: ElementTree.Element, annotations: list[_Annotation]) -> list[tuple[int, str, str]]:
    """Add two times an annotation, all in order, and return each one's number and the ids of its times.

    No two share one: in ELAN, whoever moves an annotation would move its neighbour too.
    """
    order = ElementTree.SubElement(document, "TIME_ORDER")
    times = [(time, number, end) for number, pair in enumerate(annotations) for end, time in enumerate(pair[:2])]
    slots = {}
    for slot, (time, number, end) in enumerate(sorted(times), 1):
        slots[number, end] = f"ts{slot}"
        ElementTree.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": f"ts{slot}", "TIME_VALUE": str(time)})
    return [(number + 1, slots[number, 0], slots[number, 1]) for number in range(len(annotations))]
