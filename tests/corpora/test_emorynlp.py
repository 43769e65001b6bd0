"""EmoryNLP: scenes are dialogues, both kinds of files are read, what is odd is listed or refused."""

import json

import pytest

from erc_kedro.corpora import CorpusError, emorynlp
from tests.corpora.releases import (
    emorynlp_row,
    found,
    rows_of,
    write_csv,
    write_emorynlp,
    write_emorynlp_csv,
)

SCENES = {
    "s01_e02_c01": [(["Ross Geller"], "Hi.", "Neutral"), (["Ann", "Bo"], "It’s you!", "joyful")],
    "s01_e02_c02": [([], "Who?", None)],
}


def test_scenes_are_dialogues_and_utterances_keep_the_releases_ids(tmp_path):
    corpus = emorynlp.read(write_emorynlp(tmp_path, trn=SCENES))
    rows = rows_of(corpus)
    assert list(rows)[:3] == ["s01_e02_c01_u001", "s01_e02_c01_u002", "s01_e02_c02_u001"]
    second = rows["s01_e02_c01_u002"]
    assert (second["dialogue_id"], second["position"], second["split"]) == ("s01_e02_c01", 1, "train")
    assert (second["speaker"], second["text"], second["label"]) == ("Ann & Bo", "It's you!", "Joyful")
    assert corpus.labels == ("Joyful", "Mad", "Neutral", "Peaceful", "Powerful", "Sad", "Scared")
    assert corpus.utterances["split"].value_counts().to_dict() == {"train": 3, "val": 1, "test": 1}
    assert corpus.groupings["episode"]["s01_e02_c01_u001"] == "s01_e02"
    assert corpus.facts["groups"]["of"]["Ross Geller"] == "main character"


def test_what_is_odd_in_the_release_is_listed(tmp_path):
    corpus = emorynlp.read(write_emorynlp(tmp_path, trn=SCENES))
    unnamed = rows_of(corpus)["s01_e02_c02_u001"]
    assert unnamed["label"] is None or unnamed["label"] != unnamed["label"]
    for kind in ("several_speakers", "no_speaker", "no_label", "curly_quotes"):
        assert found(corpus, kind) == ["emotion-detection-trn.json"]


def test_the_shared_csvs_are_read_in_the_order_of_their_numbers(tmp_path):
    rows = [emorynlp_row(3, 4), emorynlp_row(3, 2, 'She said ""no"".', "mad"), emorynlp_row(5, 1)]
    corpus = emorynlp.read(
        write_emorynlp_csv(tmp_path / "data", train=rows, dev=[emorynlp_row(1, 1, episode=9)])
    )
    table = rows_of(corpus)
    first = table["s02_e01_c03_u002"]
    assert (first["position"], first["text"], first["label"]) == (0, 'She said "no".', "Mad")
    assert (first["speaker"], first["start_s"], first["end_s"]) == ("Ada Roe", 2.1, 3.25)
    assert table["s02_e01_c03_u004"]["position"] == 1
    assert found(corpus, "numbering_gap") == ["emorynlp_train_final.csv"]
    assert corpus.facts["protocol"] != "official"


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_byte_order_marks_and_windows_lines_change_nothing(tmp_path, mark):
    write_emorynlp(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(mark + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(emorynlp.read(tmp_path).utterances) == 3


def test_a_missing_file_and_two_kinds_are_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"emotion-detection-trn.json \(or emorynlp_train_final.csv"):
        emorynlp.read(tmp_path)
    write_emorynlp(tmp_path)
    (tmp_path / "emotion-detection-dev.json").unlink()
    with pytest.raises(CorpusError, match=r"emotion-detection-dev.json is missing"):
        emorynlp.read(tmp_path)
    write_emorynlp(tmp_path)
    write_emorynlp_csv(tmp_path / "csv")
    with pytest.raises(CorpusError, match=r"move one kind away"):
        emorynlp.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda u: u.update(emotion="Bored"), r"trn.json, s01_e02_c01_u001: unknown emotion 'Bored'"),
        (lambda u: u.update(transcript=None), r"s01_e02_c01_u001 has no text `transcript`"),
        (lambda u: u.update(speakers="Ann"), r"s01_e02_c01_u001 has no list `speakers`"),
        (lambda u: u.update(utterance_id="s01_e02_c02_u001"), r"is already in emotion-detection-trn.json"),
    ],
)
def test_an_utterance_that_cannot_be_read_is_named(tmp_path, change, said):
    write_emorynlp(tmp_path, trn=SCENES)
    path = tmp_path / "emotion-detection-trn.json"
    release = json.loads(path.read_text("utf-8"))
    change(release["episodes"][0]["scenes"][0]["utterances"][0])
    path.write_text(json.dumps(release), "utf-8")
    with pytest.raises(CorpusError, match=said):
        emorynlp.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"episodes": [\n{]}', r"row 2: no JSON"),
        ("[]", r"the file has no list `episodes`"),
        ('{"episodes": []}', r"no utterances"),
        ("[" * 100_000, r"(nested too deeply|no JSON)"),
    ],
)
def test_a_file_that_is_no_release_is_named(tmp_path, text, said):
    write_emorynlp(tmp_path)
    (tmp_path / "emotion-detection-tst.json").write_text(text, "utf-8")
    with pytest.raises(CorpusError, match=rf"emotion-detection-tst.json.*{said}"):
        emorynlp.read(tmp_path)


def test_a_cell_of_the_csvs_that_cannot_be_read_is_named(tmp_path):
    good = emorynlp_row(1, 1)
    for bad, said in (
        (good.replace(",Sad,", ",Glad,"), r"row 2, column emotion: unknown emotion 'Glad'"),
        (good.replace("['Ada Roe']", "['Ada Roe'"), r"row 2, column speaker: .* is no list of names"),
        (good.replace("00:00:01.100", "soon"), r"row 2, column start_time: 'soon' is not a time"),
        (good.replace(",1,1,2,1,", ",1,x,2,1,"), r"row 2, column utterance_id: 'x' is not a whole number"),
    ):
        write_emorynlp_csv(tmp_path, train=[bad])
        with pytest.raises(CorpusError, match=said):
            emorynlp.read(tmp_path)
    write_emorynlp_csv(tmp_path, train=[good], dev=[emorynlp_row(1, 2)])
    with pytest.raises(CorpusError, match=r"row 2: scene s02_e01_c01 is in emorynlp_train_final.csv, too"):
        emorynlp.read(tmp_path)
    write_csv(tmp_path / "emorynlp_dev_final.csv", [], "Utterance,Speaker")
    with pytest.raises(CorpusError, match=r"column emotion, scene_id"):
        emorynlp.read(tmp_path)
