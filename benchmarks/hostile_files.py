"""Hostile files, and what a user would do with them: the attacks of `python -m benchmarks.attacks` and of the tests.

Each attack makes its file in a directory, and returns what a user does with it.
"""

import io
import json
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from benchmarks.hostile_graphs import GRAPH_ATTACKS
from benchmarks.hostile_packages import PACKAGE_ATTACKS, ZEROS, Attack, write_zeros
from fer.bundle.io import load_bundle
from fer.bundle.locate import PRETRAINED_DIR
from fer.bundle.metadata import read_description
from fer.bundle.reference_samples import read_samples
from fer.cloud.result_archive import unpack_result
from fer.config.compose import refuse_executable_yaml
from fer.core.image_decoding import decode_image
from fer.core.io import compute_sha256
from fer.core.parquet import read_parquet
from fer.data.sources.archive import DatasetFiles
from fer.infer.group_analysis import read_groups
from fer.infer.transform.shards import Request, read_answers
from fer.monitoring.drift import read_baseline
from fer.monitoring.ground_truth import read_labels
from fer.registry.run_artifacts import read_run_artifacts
from fer.runs.run_directory import load_run_config
from fer.serving.requests import parse_images
from fer.video.probe import open_video


def _attack_bundle(**changes: Any) -> Attack:
    def build(folder: Path) -> Callable[[], Any]:
        content = yaml.safe_load((PRETRAINED_DIR / "bundle" / "bundle.yaml").read_text())
        for name in ("weights.safetensors", "samples.npz"):
            (folder / name).write_bytes((PRETRAINED_DIR / "bundle" / name).read_bytes())
        (folder / "bundle.yaml").write_text(yaml.safe_dump({**content, **changes}))
        return lambda: load_bundle(str(folder))

    return build


def _attack_yaml(text: str) -> Attack:
    def build(folder: Path) -> Callable[[], Any]:
        (folder / "bundle.yaml").write_text(text)
        return lambda: read_description(str(folder))

    return build


def _attack_run(text: str, read: Callable[[Path], Any] = load_run_config) -> Attack:
    def build(folder: Path) -> Callable[[], Any]:
        (folder / "run.yaml").write_text(text)
        return lambda: read(folder)

    return build


def _attack_metrics(text: str) -> Attack:
    def build(folder: Path) -> Callable[[], Any]:
        (folder / "bundle").symlink_to(PRETRAINED_DIR / "bundle")
        (folder / "metrics.json").write_text(text)
        return lambda: read_run_artifacts(folder)

    return build


def _make_laughs() -> str:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for one, two in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{two}: &{two} [{', '.join([f'*{one}'] * 10)}]")
    return "\n".join(lines)


def _attack_samples(folder: Path) -> Callable[[], Any]:
    np.savez_compressed(folder / "samples.npz", images=np.zeros((4000, 224, 224, 3), np.uint8), probabilities=ZEROS[:7])
    return lambda: read_samples(folder)


def _attack_array(folder: Path) -> Callable[[], Any]:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, 224, 224, 3)}
    )
    with zipfile.ZipFile(folder / "samples.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
        archive.writestr("probabilities.npy", header.getvalue())
    return lambda: read_samples(folder)


def _attack_weights_header(folder: Path) -> Callable[[], Any]:
    _attack_bundle()(folder)
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", 20 << 20) + b"[" * (20 << 20))
    content = yaml.safe_load((folder / "bundle.yaml").read_text())
    content["weights_sha256"] = compute_sha256(folder / "weights.safetensors")
    (folder / "bundle.yaml").write_text(yaml.safe_dump(content))
    return lambda: load_bundle(str(folder))


def _attack_promise(folder: Path) -> Callable[[], Any]:
    """A header by which 1.8 billion weights would be made room for, and four bytes of them."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1_800_000_000], "data_offsets": [0, 4]}}).encode()
    _attack_bundle(architecture="vit_gigantic_patch14_clip_224")(folder)
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    content = yaml.safe_load((folder / "bundle.yaml").read_text())
    content["weights_sha256"] = compute_sha256(folder / "weights.safetensors")
    (folder / "bundle.yaml").write_text(yaml.safe_dump(content))
    return lambda: load_bundle(str(folder))


def _attack_shard(folder: Path) -> Callable[[], Any]:
    entry = tarfile.TarInfo("pax")
    entry.type, entry.size = tarfile.XHDTYPE, 90 << 20
    body = entry.tobuf() + ZEROS * 90
    return lambda: parse_images(body, "shard")


def _attack_answer(text: str) -> Attack:
    def build(folder: Path) -> Callable[[], Any]:
        request = Request(folder / "shard-000000.tar", ("a",))
        with request.output_path.open("w") as file:
            file.write(text)
        return lambda: read_answers(request, ("anger", "joy"))

    return build


def _attack_zip(folder: Path) -> Callable[[], Any]:
    path = folder / "faces.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("happy/0.png", "w", force_zip64=True) as file,
    ):
        write_zeros(file, 1000)
    return lambda: DatasetFiles(str(path))


def _attack_zip_members(folder: Path) -> Callable[[], Any]:
    """A directory of 300,000 names, all of the same empty member: Python writes members one by one in seconds."""
    with zipfile.ZipFile(folder / "faces.zip", "w") as archive:
        archive.writestr("happy/0.png", b"")
        for number in range(1, 300_000):
            member = zipfile.ZipInfo(f"happy/{number}.png")
            member.header_offset = member.CRC = 0
            archive.filelist.append(member)
    return lambda: DatasetFiles(str(folder / "faces.zip"))


def _attack_lying_zip(folder: Path) -> Callable[[], Any]:
    """A member that announces a kilobyte and holds 80 MB."""
    path = folder / "faces.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive, archive.open("happy/0.png", "w") as file:
        write_zeros(file, 80)
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 24 : place + 28] = struct.pack("<I", 1000)
    path.write_bytes(bytes(data))
    return lambda: len(DatasetFiles(str(path)).read("happy/0.png"))


def _attack_xz(folder: Path) -> Callable[[], Any]:
    # An .xz file is one stream after another.
    stream = lzma.compress(20 * ZEROS, preset=1)
    (folder / "faces.tar.xz").write_bytes(100 * stream)
    return lambda: DatasetFiles(str(folder / "faces.tar.xz"))


def _attack_result(folder: Path) -> Callable[[], Any]:
    with zipfile.ZipFile(folder / "00000.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("crops/a.png", "w") as file:
            write_zeros(file, 1000)
        archive.writestr("parts/video.json", json.dumps({"video": "v"}))
    return lambda: unpack_result(folder / "00000.zip", folder / "run", 0, "v")


def _attack_parquet(text: Any) -> Attack:
    def build(folder: Path) -> Callable[[], Any]:
        column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3_000_000, np.int8)), pa.array([text]))
        pq.write_table(pa.table({"sample_id": column}), folder / "table.parquet", store_schema=False)
        return lambda: read_parquet(folder / "table.parquet")

    return build


def _attack_csv(text: str, read: Callable[[Path, list[str]], Any]) -> Attack:
    def build(folder: Path) -> Callable[[], Any]:
        (folder / "table.csv").write_text(text)
        return lambda: read(folder / "table.csv", ["clip.mp4"])

    return build


def _attack_baseline(text: str) -> Attack:
    def build(folder: Path) -> Callable[[], Any]:
        (folder / "baseline.json").write_text(text)
        return lambda: read_baseline(folder / "baseline.json")

    return build


def _attack_video(name: str, text: str) -> Attack:
    """A text that FFmpeg takes for a list of files, one of which is a pipe that never ends."""

    def build(folder: Path) -> Callable[[], Any]:
        os.mkfifo(folder / "pipe.ts")
        (folder / name).write_text(text.format(pipe=folder / "pipe.ts"))
        return lambda: open_video(folder / name)

    return build


def _attack_chunks(folder: Path) -> Callable[[], Any]:
    data = io.BytesIO()
    Image.new("RGB", (64, 64)).save(data, "PNG")
    chunk = struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))
    image = data.getvalue().replace(b"\0\0\0\0IEND", chunk * 400_000 + b"\0\0\0\0IEND")
    return lambda: decode_image(image)


DEEP = "[" * 100_000
ATTACKS: dict[str, Attack] = {
    **PACKAGE_ATTACKS,
    "bundle.yaml: faces.side -1": _attack_bundle(faces={"side": -1, "colour": False}),
    "bundle.yaml: image_size 1000000": _attack_bundle(image_size=1_000_000),
    "bundle.yaml: an architecture of 1.8 billion weights": _attack_bundle(architecture="vit_gigantic_patch14_clip_224"),
    "bundle.yaml: a class that is a formula": _attack_bundle(classes=["=1+1", "b", "c", "d", "e", "f", "g"]),
    "bundle.yaml: billion laughs": _attack_yaml(_make_laughs()),
    "bundle.yaml: nested 100,000 levels": _attack_yaml(DEEP),
    "bundle.yaml: 10 MB": _attack_yaml("[" + "1, " * 3_500_000 + "]"),
    "bundle.yaml: a number to the base of 60": _attack_yaml("a: 1" + ":59" * 40_000),
    "bundle.yaml: calls Python": _attack_yaml("a: !!python/object/apply:os.system [id]"),
    "run.yaml: nested": _attack_run(DEEP),
    "run.yaml: billion laughs, replayed": _attack_run(
        _make_laughs(), lambda run: refuse_executable_yaml(["--config-dir", str(run)])
    ),
    "run.yaml: calls Python": _attack_run(
        "a: {_target_: os.system}", lambda run: refuse_executable_yaml(["--config-dir", str(run)])
    ),
    "metrics.json: nested": _attack_metrics('{"test": ' + DEEP),
    "metrics.json: millions of empty lists": _attack_metrics('{"test": [' + "[]," * 5_000_000 + "1]}"),
    "metrics.json: an integer of 4,000 digits": _attack_metrics('{"test": {"samples": ' + "9" * 4000 + "}}"),
    "metrics.json: an accuracy of 5": _attack_metrics('{"test": {"samples": 9, "accuracy": {"value": 5}}}'),
    "baseline.json: nested": _attack_baseline(DEEP),
    "baseline.json: NaN": _attack_baseline('{"faces": NaN, "numbers": {}, "classes": {}}'),
    "samples.npz: 600 MB of zeros": _attack_samples,
    "samples.npz: a shape of 150 TB": _attack_array,
    "weights.safetensors: 20 MB of header": _attack_weights_header,
    "weights.safetensors: a header of more than there is": _attack_promise,
    "shard: 90 MB of PAX header": _attack_shard,
    ".out file: nested": _attack_answer(DEEP),
    ".out file: 100 MB": _attack_answer("x" * (100 << 20)),
    ".out file: NaN": _attack_answer('{"id": "a", "probabilities": {"anger": NaN, "joy": 1}}'),
    "data set: .zip of 1 GB of zeros": _attack_zip,
    "data set: .zip of 300,000 members": _attack_zip_members,
    "data set: .zip that lies about a size": _attack_lying_zip,
    "data set: .tar.xz of 2 GB of zeros": _attack_xz,
    "result of a video: 1 GB of zeros": _attack_result,
    "Parquet: 3 million rows in 1 kB": _attack_parquet(1),
    "Parquet: a text of 1 MB, 3 million times": _attack_parquet("x" * (1 << 20)),
    "video: an HLS playlist to a pipe": _attack_video("clip.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:\n{pipe}\n"),
    "video: a list of files to a pipe": _attack_video("clip.mp4", "ffconcat version 1.0\nfile 'pipe.ts'\n"),
    "image: a PNG of 400,000 chunks": _attack_chunks,
    "image: a plain PGM of a million comments": lambda folder: (
        lambda: decode_image(b"P2\n64 64\n255\n" + b"# \n" * 1_000_000 + b"1 " * 4096)
    ),
    "run.yaml: a resolver makes what Hydra calls": _attack_run(
        'hydra: {callbacks: {x: "${oc.create:{_target_:shutil.rmtree,path:x}}"}}',
        lambda run: refuse_executable_yaml(["--config-dir", str(run)]),
    ),
    "run.yaml: tells a variable": _attack_run(
        "name: ${oc.env:HOME}", lambda run: refuse_executable_yaml(["--config-dir", str(run)])
    ),
    "labels: 1 million columns": _attack_csv("video," * 1_000_000, read_labels),
    "labels: a name of 5 MB": _attack_csv("video,emotion\n" + "x" * (5 << 20) + ",happiness\n", read_labels),
    "labels: a track of 5,000 digits": _attack_csv(
        "video,emotion,track_id\nclip.mp4,happiness," + "9" * 5000 + "\n", read_labels
    ),
    **GRAPH_ATTACKS,
    "groups: 100 MB": _attack_csv("video,group\n" + "x,y\n" * 25_000_000, read_groups),
}
