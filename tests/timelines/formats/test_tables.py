"""Tables hold what was scored, and command nothing."""

import io
import json

import pandas as pd

from erc_kedro import timelines
from tests.timelines.formats.made import facts, timeline

# Labels may be any words.
LABELS = ("p_joy", "😀 so glad", "=1+1")


def test_parquet_is_the_timeline_and_csv_is_it_to_six_decimals(tmp_path):
    rows = (
        {
            "start_s": 0.1,
            "end_s": 1 / 3,
            "text": "Grüße, 你好;\n= 2",
            "emotion": "p_joy",
            "confidence": 2 / 3,
        },
        {"start_s": 1.0, "end_s": 2.0, "text": "NA", "emotion": "=1+1", "speaker": "=HYPERLINK(1)"},
        {"status": "empty", "text": ""},
    )
    table = timeline(*rows, labels=LABELS)
    timelines.write(table, facts(LABELS), tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "timeline.parquet"), table)

    content = (tmp_path / "timeline.csv").read_bytes()
    # Without these three bytes Excel reads it as the country's own encoding.
    assert content.startswith(b"\xef\xbb\xbf")
    read = pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values={"confidence": [""]})
    assert read["text"].tolist() == ["Grüße, 你好;\n'= 2", "NA", ""]
    assert read["speaker"].tolist() == ["Ann", "'=HYPERLINK(1)", "Ann"]
    assert read["emotion"].tolist() == ["p_joy", "'=1+1", ""]
    assert read["confidence"].tolist()[:2] == [0.666667, 0.82]
    assert pd.isna(read["confidence"][2])


def test_json_keeps_labels_apart_and_names_that_are_no_text(tmp_path):
    table = timeline({"far_from_training": "audio, visual"}, labels=LABELS)
    timelines.write(table, facts(LABELS, media="/talks/\udcff.wav"), tmp_path)
    read = json.loads((tmp_path / "timeline.json").read_bytes())
    assert read["media"] == "/talks/\udcff.wav"
    assert list(read["segments"][0]["probabilities"]) == list(LABELS)
    assert read["segments"][0]["far_from_training"] == ["audio", "visual"]
