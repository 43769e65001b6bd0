"""Files appear whole or not at all, and an absent one says what makes it."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from erc_kedro.datasets import Json, Table, Text, missing_is_none


def test_vectors_are_a_fixed_size_list_of_float32(tmp_path):
    table = pd.DataFrame(
        {"utterance_id": ["a", "b"], "vector": list(np.eye(2, 3, dtype=np.float32)), "present": [True, False]}
    )
    dataset = Table(filepath=str(tmp_path / "t.parquet"))
    dataset.save(table)
    field = pq.read_schema(tmp_path / "t.parquet").field("vector")
    assert str(field.type).startswith("fixed_size_list")
    assert str(field.type).endswith("[3]")
    assert str(field.type.value_type) == "float"
    preview = dataset.preview(nrows=1)
    assert json.loads(json.dumps(preview))["data"] == [["a", "1, 0, 0", True]]
    back = dataset.load()
    np.testing.assert_array_equal(np.stack(back["vector"]), np.eye(2, 3))


@pytest.mark.parametrize(("kind", "good", "bad"), [(Json, {"a": 1}, {"a": object()}), (Text, "x", 3)])
def test_a_failed_save_leaves_the_earlier_version(tmp_path, kind, good, bad):
    dataset = kind(filepath=str(tmp_path / "file"))
    dataset.save(good)
    with pytest.raises(DatasetError):
        dataset.save(bad)
    assert dataset.load() == good
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_absent_file_names_its_pipeline(tmp_path):
    dataset = Json(filepath=str(tmp_path / "x.json"), metadata={"made_by": "train"})
    with pytest.raises(DatasetError, match=r"x\.json does not exist yet.*kedro run --pipeline=train"):
        dataset.load()
    token = missing_is_none.set(True)
    try:
        assert dataset.load() is None
    finally:
        missing_is_none.reset(token)
