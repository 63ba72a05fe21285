"""The cache of decoded images: built once, keyed by content, whole or not there."""

import errno
import os
import re
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer.core.image import to_native
from fer.core.image_decoding import MAX_PIXELS
from fer.data.decoding import decode, read_header
from fer.data.image_store import ImageStore, hash_pixels, open_image_store
from fer.data.sources import Source, read_source
from fer.errors import DataError
from tests.helpers.image_data import Laid, array_source, encoded, noise
from tests.helpers.paths import PROJECT

pytestmark = pytest.mark.slow


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def folder_source(root: str) -> list[Source]:
    return [read_source("own", "folder", root=root, class_map={})]


def only_folder(cache: Path) -> Path:
    (folder,) = cache.iterdir()
    return folder


def test_gray_images_keep_their_pixels_in_the_order_of_the_rows(lay: Laid, tmp_path: Path) -> None:
    root = lay({f"fear/{number}.png": encoded(number) for number in (2, 0, 1)})
    store = open_image_store(folder_source(root), 224, str(tmp_path / "cache"))
    assert store.images.shape == (3, 48, 48, 1) and store.images.dtype == np.uint8
    assert (store.side, store.colour) == (48, False)
    for number in range(3):
        assert np.array_equal(store.images[number, ..., 0], noise(number))
    assert store.index.columns.tolist() == ["content_hash", "perceptual_hash", "problem"]
    assert store.index["problem"].tolist() == ["", "", ""]
    assert store.index["content_hash"].is_unique and store.index["perceptual_hash"].str.fullmatch("[0-9a-f]{16}").all()


def test_it_is_decoded_once_memory_mapped_and_not_written_to_again(lay: Laid, tmp_path: Path) -> None:
    root = lay({f"fear/{number}.png": encoded(number) for number in range(3)})
    cache = tmp_path / "cache"
    first = open_image_store(folder_source(root), 96, str(cache))
    before = {file.name: (file.stat().st_mtime_ns, file.stat().st_ino) for file in only_folder(cache).iterdir()}
    assert before.keys() == {"images.npy", "index.parquet", "store.json"}
    (source,) = folder_source(root)
    reads: list[str] = []
    watched = replace(source, read=lambda path: (reads.append(path), source.read(path))[1])
    again = open_image_store([watched], 96, str(cache))
    assert reads == source.table["path"].tolist()  # for the fingerprint alone
    assert {f.name: (f.stat().st_mtime_ns, f.stat().st_ino) for f in only_folder(cache).iterdir()} == before
    assert again.fingerprint == first.fingerprint and again.index.equals(first.index)
    assert isinstance(again.images, np.memmap) and again.images.mode == "r"
    with pytest.raises(ValueError, match="read-only"):
        again.images[0] = 0


def test_other_content_gives_another_fingerprint_and_another_folder(lay: Laid, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    content = {f"fear/{number}.png": encoded(number) for number in range(3)}

    def opened(content: dict[str, bytes], name: str = "own") -> ImageStore:
        root = lay(content)
        return open_image_store([read_source(name, "folder", root=root, class_map={})], 96, str(cache))

    stores = [opened(content)]
    pixel = noise(1)
    pixel[7, 7] ^= 1
    stores.append(opened({**content, "fear/1.png": png(pixel)}))  # one pixel
    stores.append(opened({**content, "fear/1.png": content["fear/1.png"] + b"\0"}))  # one byte, the same pixels
    moved = {**content, "sad/1.png": content["fear/1.png"]}
    del moved["fear/1.png"]
    stores.append(opened(moved))  # a label
    stores.append(opened({f"train/{name}": data for name, data in content.items()}))  # a part
    stores.append(opened(content, "other"))
    assert len({store.fingerprint for store in stores}) == len(stores) == len(list(cache.iterdir()))
    assert opened(content).fingerprint == stores[0].fingerprint
    assert len(list(cache.iterdir())) == len(stores)


def test_changed_votes_change_the_fingerprint(tmp_path: Path) -> None:
    votes = [[5, 5, 0, 0, 0, 0, 0, 0, 0, 0]] * 2
    images = [noise(0), noise(1)]
    first = open_image_store([array_source(images, ["train"] * 2, votes)], 48, str(tmp_path / "cache"))
    other = [votes[0], [4, 6, 0, 0, 0, 0, 0, 0, 0, 0]]
    second = open_image_store([array_source(images, ["train"] * 2, other)], 48, str(tmp_path / "cache"))
    assert first.fingerprint != second.fingerprint and np.array_equal(first.images, second.images)


def test_colour_and_sizes_mix_and_the_network_caps_the_side(lay: Laid, tmp_path: Path) -> None:
    root = lay(
        {"fear/0.png": png(noise(0, 30)), "fear/1.png": png(noise(1, 60, True)), "fear/2.png": png(noise(2, 90))}
    )
    cache = str(tmp_path / "cache")
    store = open_image_store(folder_source(root), 224, cache)
    assert store.images.shape == (3, 90, 90, 3) and (store.side, store.colour) == (90, True)
    assert np.array_equal(store.images[2], np.repeat(noise(2, 90)[..., None], 3, axis=2))
    assert np.array_equal(store.images[1], cv2.resize(noise(1, 60, True), (90, 90), interpolation=cv2.INTER_LINEAR))
    small = open_image_store(folder_source(root), 60, cache)
    assert small.images.shape == (3, 60, 60, 3) and small.side == 60
    assert np.array_equal(small.images[1], noise(1, 60, True))
    shrunk = cv2.resize(noise(2, 90), (60, 60), interpolation=cv2.INTER_AREA)
    assert np.array_equal(small.images[2], np.repeat(shrunk[..., None], 3, axis=2))
    assert small.fingerprint == store.fingerprint and len(list((tmp_path / "cache").iterdir())) == 2


def test_to_native_averages_where_it_shrinks_and_keeps_what_fits() -> None:
    stripes = np.tile(np.array([0, 200], np.uint8), (96, 48))
    assert np.array_equal(to_native(stripes, 48, False), np.full((48, 48, 1), 100))
    image = noise(0, 48, True)
    assert np.array_equal(to_native(image, 48, True), image)
    assert np.array_equal(to_native(image, 48, False)[..., 0], cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    assert np.array_equal(to_native(noise(1), 48, True), np.repeat(noise(1)[..., None], 3, axis=2))
    assert to_native(noise(2)[:, :30], 40, False).shape == (40, 40, 1)


def test_corrupt_files_are_listed_with_a_reason_and_the_others_used(lay: Laid, tmp_path: Path) -> None:
    whole = encoded(1, 90, True, ".jpg")
    root = lay(
        {
            "fear/0.png": encoded(0),
            "fear/1.jpg": whole[: len(whole) // 2],
            "fear/2.png": encoded(2)[:-100],
            "fear/3.png": b"<html>not found</html>",
            "fear/4.png": b"",
            "fear/5.png": encoded(5),
        }
    )
    store = open_image_store(folder_source(root), 224, str(tmp_path / "cache"))
    assert store.index["problem"].tolist() == [
        *("", "the image is damaged", "the image is damaged", "not an image", "not an image", "")
    ]
    bad = store.index["problem"] != ""
    assert (store.index.loc[bad, ["content_hash", "perceptual_hash"]] == "").all(axis=None)
    assert not store.images[bad].any() and (store.index.loc[~bad, "content_hash"] != "").all()
    # The truncated JPEG's header is whole: it says 90 pixels in colour.
    assert store.images.shape == (6, 90, 90, 3)
    assert np.array_equal(store.images[5, ..., 0], cv2.resize(noise(5), (90, 90), interpolation=cv2.INTER_LINEAR))


def test_an_image_of_too_many_pixels_is_refused_by_its_header() -> None:
    start, end = encoded(0)[:16], encoded(0)[24:]
    size = (12_000).to_bytes(4, "big") * 2
    assert 12_000**2 > MAX_PIXELS
    chunk = b"IHDR" + size + end[:5]
    data = start[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + end[9:]
    for read in (read_header, decode):
        with pytest.raises(DataError, match="^more than 128,000,000 pixels are too many$"):
            read(data)


def test_the_pixel_hash_ignores_the_file_format_and_gray_as_rgb() -> None:
    image = noise(3)
    three = np.repeat(image[..., None], 3, axis=2)
    formats = [
        decode(cv2.imencode(suffix, picture)[1].tobytes()) for picture in (image, three) for suffix in (".png", ".bmp")
    ]
    assert {hash_pixels(pixels) for pixels in formats} == {hash_pixels(image)}
    tinted = three.copy()
    tinted[0, 0, 0] ^= 1
    others = [tinted, image[:, ::-1], image[:24], image.reshape(24, 96)]
    assert len({hash_pixels(pixels) for pixels in (image, *others)}) == 5


def test_of_two_threads_that_begin_at_once_one_builds_the_store_for_both(tmp_path: Path) -> None:
    images = [noise(number) for number in range(4)]
    base = array_source(images, ["train"] * 4, ["fear"] * 4)
    both_here = threading.Barrier(2, timeout=30)
    reads: list[str] = []

    def read(path: str) -> np.ndarray | bytes:
        reads.append(path)
        if reads.count("00003.png") <= 2 and path == "00003.png":
            both_here.wait()  # neither has surveyed before the other
        return base.read(path)

    cache = tmp_path / "cache"
    with ThreadPoolExecutor(2) as pool:
        stores = list(pool.map(lambda _: open_image_store([replace(base, read=read)], 48, str(cache)), range(2)))
    for store in stores:
        assert np.array_equal(store.images[..., 0], np.stack(images))
    assert stores[0].fingerprint == stores[1].fingerprint and only_folder(cache).name.endswith("-48x1-v2")
    # Surveyed twice, decoded once.
    assert reads.count("00003.png") == 3


BUILD = """
import sys, time
from pathlib import Path
from fer.data.sources import read_source
from fer.data.image_store import open_image_store
root, cache, ready, other = sys.argv[1:]
Path(ready).touch()
while not Path(other).exists():
    time.sleep(0.002)
store = open_image_store([read_source("own", "folder", root=root, class_map={})], 96, cache)
print(store.fingerprint, int(store.images.sum()), list(store.index["problem"]))
"""


def test_two_processes_that_build_at_once_both_get_a_right_store(lay: Laid, tmp_path: Path) -> None:
    root = lay({f"fear/{number:02d}.png": encoded(number) for number in range(40)})
    cache = tmp_path / "cache"
    marks = [str(tmp_path / "ready-0"), str(tmp_path / "ready-1")]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    program = tmp_path / "program.py"
    program.write_text(BUILD)
    running = [
        subprocess.Popen(
            [sys.executable, str(program), root, str(cache), *order],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for order in (marks, marks[::-1])
    ]
    ended = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    total = sum(int(noise(number).sum()) for number in range(40))
    own = open_image_store(folder_source(root), 96, str(cache))
    assert {out for out, _ in ended} == {f"{own.fingerprint} {total} {[''] * 40}\n"}
    assert len(list(cache.iterdir())) == 1


def test_nothing_stays_behind_when_building_fails(tmp_path: Path) -> None:
    base = array_source([noise(number) for number in range(4)], ["train"] * 4, ["fear"] * 4)
    reads = []

    def read(path: str) -> np.ndarray | bytes:
        reads.append(path)
        if len(reads) > 6:  # the survey reads four times, so this is in the middle of decoding
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return base.read(path)

    cache = tmp_path / "cache"
    with pytest.raises(OSError, match="No space left on device") as caught:
        open_image_store([replace(base, read=read)], 48, str(cache))
    assert caught.value.errno == errno.ENOSPC and len(reads) == 7
    assert list(cache.iterdir()) == []
    assert open_image_store([base], 48, str(cache)).images.shape == (4, 48, 48, 1)


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(lay: Laid, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=1m tmpfs {small}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    root = lay({f"fear/{number:02d}.png": encoded(number, 224, True) for number in range(12)})  # 1.8 MB decoded
    program = (
        "import os, sys; from fer.data.sources import read_source; from fer.data.image_store import open_image_store\n"
        f"try: open_image_store([read_source('own', 'folder', root={root!r}, class_map={{}})], 224, {str(small)!r})\n"
        f"except OSError as error: print(error.errno, os.listdir({str(small)!r}))"
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$0" -c "$1"', sys.executable, program],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, f"{errno.ENOSPC} []\n"), done.stderr


@pytest.mark.parametrize("file", ["images.npy", "index.parquet", "store.json"])
@pytest.mark.parametrize("damage", ["removed", "emptied", "cut", "overwritten", "of another store"])
def test_a_damaged_cache_names_the_folder_to_remove(file: str, damage: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    source = array_source([noise(number) for number in range(4)], ["train"] * 4, ["fear"] * 4)
    open_image_store([source], 48, str(cache))
    folder = only_folder(cache)
    path = folder / file
    if damage == "removed":
        path.unlink()
    elif damage == "of another store":
        other = array_source([noise(0)], ["train"], ["fear"])
        open_image_store([other], 48, str(tmp_path / "other"))
        path.write_bytes((only_folder(tmp_path / "other") / file).read_bytes())
    else:
        whole = path.read_bytes()
        path.write_bytes({"emptied": b"", "cut": whole[: len(whole) // 2], "overwritten": bytes(len(whole))}[damage])
    with pytest.raises(DataError) as caught:
        open_image_store([source], 48, str(cache))
    assert re.fullmatch(
        rf"{re.escape(str(folder))}: the cached images cannot be read \(.+\); remove this directory",
        str(caught.value),
        re.DOTALL,
    )
