"""The real FERPlus archive, where it is at hand: sizes, leaks, and nothing lost."""

import numpy as np
import pytest

from fer.data.image_store import open_image_store
from fer.data.manifest import ManifestConfig, build_manifest
from fer.data.sources import read_source
from fer.data.splits import LEAK, find_leaks
from fer.errors import DataError

pytestmark = pytest.mark.slow
RULES = {"plus": {"label_rule": "majority", "eval_label_rule": "majority", "contempt": "drop"}}

OPTIONS = {
    "label_rules": RULES,
    "classes": 8,
    "split": "official",
    "fractions": (0.8, 0.1, 0.1),
    "near_duplicate_bits": -1,
    "on_corrupt": "error",
    "on_empty_class": "error",
    "balance": "none",
    "limit": None,
    "seed": 0,
}


def test_the_two_files_of_votes_disagree_on_one_row_in_twenty(ferplus_zip: str) -> None:
    tables = []
    for votes in ("label.csv", "fer2013new.csv"):
        source = read_source("plus", "ferplus", root=ferplus_zip, votes=votes)
        assert source.table["part"].value_counts().to_dict() == {"train": 28_558, "val": 3_579}
        assert source.problems == () and source.table["path"].is_unique
        tables.append(source.table.set_index("path").filter(like="votes_").sort_index())
    assert tables[0].index.equals(tables[1].index)
    disagree = (tables[0] != tables[1]).any(axis=1).mean()
    assert disagree == pytest.approx(0.045, abs=0.005)


@pytest.mark.nightly
def test_leaks_of_the_real_archive(ferplus_zip: str, ferplus_cache: str) -> None:
    source = read_source("plus", "ferplus", root=ferplus_zip, votes="auto")
    store = open_image_store([source], 48, ferplus_cache)
    assert store.images.shape == (32_137, 48, 48, 1) and (store.index["problem"] == "").all()

    with pytest.raises(DataError) as caught:
        build_manifest([source], store, ManifestConfig(on_leak="error", **OPTIONS))
    assert str(caught.value) == (
        "279 validation images also stand in an earlier part (279 pixel for pixel); "
        "set dataset.on_leak=drop to leave them out of the later part"
    )
    for bits in (-1, 2):
        config = ManifestConfig(on_leak="drop", **{**OPTIONS, "near_duplicate_bits": bits})
        manifest = build_manifest([source], store, config)
        picture, pixels = find_leaks(manifest.samples, manifest.samples["split"])
        assert not picture.any() and not pixels.any()
        assert set(manifest.get_split("train")["content_hash"]).isdisjoint(manifest.get_split("val")["content_hash"])
        dropped = (manifest.excluded["reason"] == LEAK).sum()
        assert dropped == 279 if bits < 0 else 279 < dropped < 600
        # The archive also has fer2013new.csv, which is not used where there is a label.csv.
        assert len(manifest.samples) + len(manifest.excluded) == 32_137 + 1
        assert not set(manifest.samples["sample_id"]) & set(manifest.excluded["sample_id"])
        assert np.allclose(manifest.get_targets("train").sum(axis=1), 1)
        assert manifest.get_split("test").empty
    kept = build_manifest([source], store, ManifestConfig(on_leak="ignore", **OPTIONS))
    assert find_leaks(kept.samples, kept.samples["split"])[1].sum() > 200
