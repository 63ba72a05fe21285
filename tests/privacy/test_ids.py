"""Ids of respondents in tables and lists."""

from pathlib import Path

import pandas as pd
import pytest

from fer.privacy.ids import find_id


@pytest.mark.parametrize(
    ("identifier", "found"), [("01", ["a.yaml", "b.json", "c.csv", "d.parquet"]), ("1", ["e.yaml"])]
)
def test_an_id_is_a_text_wherever_it_stands(identifier: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("respondents: {01: {consent: true}}\nrecordings: [{respondent: 01}]\n")
    (tmp_path / "b.json").write_text('{"rows": [{"respondent": "01"}]}')
    (tmp_path / "c.csv").write_text("respondent,mean\n01,1\n")
    pd.DataFrame({"respondent": ["01", None], "mean": [1.0, 1.0]}).to_parquet(tmp_path / "d.parquet")
    (tmp_path / "e.yaml").write_text("respondents: [1]\n")
    # What cannot be read, however deep or damaged it is, names nobody.
    (tmp_path / "f.json").write_text("[" * 100_000)
    (tmp_path / "g.yaml").write_text("a: [")
    (tmp_path / "h.parquet").write_bytes(b"PAR1")
    assert [path.name for path in find_id(tmp_path, identifier)] == found
