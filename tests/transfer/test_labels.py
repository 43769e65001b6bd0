"""A map of labels is used as it is written, or refused by its file and label."""

from pathlib import Path

import pytest

from erc_kedro.corpora import iemocap, meld
from erc_kedro.transfer.labels import LabelMapError, read

ROOT = Path(__file__).resolve().parents[2]
WHOLE = """
source: a paper
labels:
  talks: {calm: calm, glad: happy, cross: null}
  clips: {neutral: calm, joy: happy, bliss: happy}
"""
TALKS, CLIPS = ["calm", "glad", "cross"], ["joy", "bliss", "neutral"]


def written(folder, text):
    path = folder / "map.yml"
    path.write_text(text, "utf-8")
    return str(path)


def test_labels_become_the_shared_ones_in_the_target_s_order(tmp_path):
    found = read(written(tmp_path, WHOLE))
    assert found.source == "a paper"
    assert found.of("talks", TALKS) == {"calm": "calm", "glad": "happy", "cross": None}
    assert found.classes(CLIPS, "clips", ["talks"]) == ["happy", "calm"]
    assert found.classes(TALKS, "talks", ["clips"]) == ["calm", "happy"]


def test_the_file_of_meld_and_iemocap_serves_both_directions():
    found = read(str(ROOT / "conf/base/labels/meld_iemocap.yml"))
    for names, labels in ((("meld", "iemocap"), iemocap.LABELS), (("iemocap", "meld"), meld.LABELS)):
        source, target = names
        found.of(source, meld.LABELS if source == "meld" else iemocap.LABELS)
        assert sorted(found.classes(labels, target, [source])) == ["angry", "happy", "neutral", "sad"]
    assert "arXiv" in found.source


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("glad: happy, ", "", "labels.talks lacks glad; write `glad: SHARED`, or `glad: null`"),
        (
            "cross: null",
            "cross: null, bored: calm",
            "labels.talks has bored, but the labels of talks are calm, glad",
        ),
        ("joy: happy, bliss: happy", "joy: null, bliss: null", "happy is no label of clips"),
        ("cross: null", "cross: angry", "angry is no label of clips"),
        ("bliss: happy", "bliss: bliss", "bliss is a label of clips alone"),
        ("  clips:", "  films:", "labels.clips is not there; the file has talks, films"),
    ],
)
def test_a_label_that_does_not_fit_is_named_with_the_file(tmp_path, old, new, said):
    assert old in WHOLE
    path = written(tmp_path, WHOLE.replace(old, new))
    found = read(path)

    def use():
        found.of("talks", TALKS)
        found.classes(CLIPS, "clips", ["talks"])

    with pytest.raises(LabelMapError) as refused:
        use()
    assert path in str(refused.value)
    assert said in str(refused.value)


def test_one_shared_label_is_too_few(tmp_path):
    found = read(written(tmp_path, WHOLE.replace("happy", "calm")))
    found.of("talks", TALKS)
    with pytest.raises(LabelMapError, match="clips has 1 shared labels; two"):
        found.classes(CLIPS, "clips", ["talks"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source: a\nlabels: {talks: {calm: calm, calm: glad}}", "duplicate key calm"),
        ("source: a\nlabels: {talks: {no: calm}}", "quote what YAML takes for something else"),
        ("source: a\nlabels: {talks: {calm: 1}}", "`calm: 1` has to be a label"),
        ("source: a\nlabels: {talks: calm}", "labels.talks has to hold lines"),
        ("source: ''\nlabels: {}", "source has to say where the mapping comes from"),
        ("labels: {}", "has to hold `source: …` and `labels: …`"),
        ("- calm", "has to hold `source: …` and `labels: …`"),
        ("source: [", "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_map_is_refused(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(LabelMapError) as refused:
        read(path)
    assert path in str(refused.value)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LabelMapError, match=r"nowhere\.yml cannot be read"):
        read(str(tmp_path / "nowhere.yml"))
