"""What every corpus is told of material that it holds twice, from its release to its audit."""

import json
from pathlib import Path

import numpy as np
import pytest

from erc_kedro import schemas
from erc_kedro.audit.corpus import audit_corpus
from erc_kedro.corpora import Corpus, iemocap, manifest, meld
from erc_kedro.pipelines.features.nodes import clip_features, text_features
from erc_kedro.pipelines.ingestion.nodes import read_corpus
from tests.audit.test_overlaps import STORY
from tests.corpora.releases import found, meld_row, write_iemocap, write_meld
from tests.defaults import FeatureParameters, IngestionParameters

GREETING = ["Hey.", "Hey!"]


def ingested(reader: str, raw: Path, drop_leaks: bool = False) -> Corpus:
    """A corpus as the ingestion pipeline leaves it."""
    options = {"drop_leaks": True} if drop_leaks else {}
    table, description, irregularities = read_corpus(
        IngestionParameters(reader=reader, raw=str(raw), **options)
    )
    description = json.loads(json.dumps(description))
    return Corpus(
        schemas.utterances.validate(table), tuple(description["labels"]), irregularities, description
    )


def warnings(corpus: Corpus) -> list[str]:
    findings = audit_corpus(corpus.utterances, corpus.facts, corpus.irregularities)
    return [said for said in findings["warnings"] if "utterances of train" in said or "a leak" in said]


def write_manifest(tmp_path: Path, *dialogues: tuple[str, str, list[str]], names: str = "ab") -> Path:
    rows = ["dialogue_id,position,speaker,text,label,split"]
    for dialogue, split, texts in dialogues:
        rows += [
            f'{dialogue},{turn},{names[turn % 2]},"{text}",{("glad", "calm")[turn % 2]},{split}'
            for turn, text in enumerate(texts)
        ]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A test dialogue inside a training dialogue, a validation dialogue in test, and a greeting in both."""
    return write_manifest(
        tmp_path,
        ("train1", "train", ["Nobody knows this.", *STORY, "Nor this."]),
        ("train2", "train", [*GREETING, "Here we are."]),
        ("val1", "val", ["A cat sat on the mat today.", "It was a very large mat.", "A cat, though."]),
        ("val2", "val", ["Only in validation.", "And so on."]),
        ("test1", "test", STORY),
        ("test2", "test", GREETING),
        ("test3", "test", ["A cat sat on the mat, today!", "It was a very large mat."]),
    )


def test_a_user_is_told_of_a_test_dialogue_inside_a_training_dialogue(own: Path) -> None:
    corpus = ingested("manifest", own)
    assert corpus.facts["twice"] == {"repeated": {"test": {"train": 5, "val": 2}}}
    said = warnings(corpus)
    assert len(said) == 2
    assert said[0].startswith("5 of 9 utterances of test repeat utterances of train")
    assert said[1].startswith("2 of 9 utterances of test repeat utterances of val")
    assert found(corpus, "repeated_across_splits") == [
        *(f"train1_{turn + 1} = test1_{turn}" for turn in range(5)),
        *(f"val1_{turn} = test3_{turn}" for turn in (0, 1)),
    ]
    # The greeting is nobody's.
    assert not corpus.irregularities["where"].str.contains("test2|train2").any()
    assert corpus.utterances.equals(manifest.read(own).utterances)


def test_leaks_are_dropped_from_the_split_that_comes_first(own: Path) -> None:
    whole, corpus = ingested("manifest", own), ingested("manifest", own, drop_leaks=True)
    kept = corpus.utterances
    gone = sorted(set(whole.utterances["utterance_id"]) - set(kept["utterance_id"]))
    assert gone == [*(f"train1_{turn}" for turn in range(1, 6)), "val1_0", "val1_1"]
    assert found(corpus, "leak_dropped") == gone
    assert kept.loc[kept["dialogue_id"] == "train1", "position"].tolist() == [0, 1]
    assert kept.loc[kept["dialogue_id"] == "val1", "text"].tolist() == ["A cat, though."]
    test = whole.utterances[whole.utterances["split"] == "test"]
    assert kept[kept["split"] == "test"].reset_index(drop=True).equals(test.reset_index(drop=True))
    # What is left repeats nothing, and every report says what was done.
    assert not warnings(corpus)
    assert not found(corpus, "repeated_across_splits")
    assert corpus.facts["protocol"] == "manifest, leaks dropped"
    assert corpus.facts["notes"][-1].endswith("the same recording: 5 of train and 2 of val.")


def test_a_dialogue_of_leaks_alone_goes_and_one_without_leaks_stays(tmp_path: Path) -> None:
    path = write_manifest(
        tmp_path,
        ("a", "train", STORY),
        ("b", "train", ["Else."]),
        ("c", "val", ["Mine."]),
        ("d", "test", STORY),
    )
    table = ingested("manifest", path, drop_leaks=True).utterances
    assert table["dialogue_id"].unique().tolist() == ["b", "c", "d"]
    sound = write_manifest(tmp_path, ("a", "train", STORY), ("c", "val", ["Mine."]), ("d", "test", GREETING))
    assert ingested("manifest", sound, drop_leaks=True).facts["protocol"] == "manifest"


def test_dialogues_that_a_hash_puts_into_two_splits_are_told(tmp_path: Path) -> None:
    rows = ["dialogue_id,position,speaker,text"]
    for dialogue in range(30):
        rows += [f'copy {dialogue},{turn},a,"{text}"' for turn, text in enumerate(STORY)]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    corpus = ingested("manifest", path)
    counts = corpus.utterances["split"].value_counts()
    assert set(counts.index) == {"train", "val", "test"}
    assert corpus.facts["twice"]["repeated"]["test"] == {"train": counts["test"], "val": counts["test"]}
    assert set(ingested("manifest", path, drop_leaks=True).utterances["split"]) == {"test"}


def test_meld_says_which_utterances_of_an_episode_are_in_two_splits(tmp_path: Path) -> None:
    """The kinds of MELD's release: its words are not, its numbers are."""

    def row(
        dialogue: int, turn: int, text: str, start: float, end: float, episode: int = 2, **cells: str
    ) -> str:
        times = (f"0:{int(at // 60):02d}:{at % 60:06.3f}".replace(".", ",") for at in (start, end))
        return meld_row(dialogue, turn, text, "neutral", *times, **cells).replace(",1,2,", f",1,{episode},")

    train = [
        row(12, 0, "Hey!", 600.0, 601.1),
        row(12, 1, "Nothing!", 607.023, 608.023),
        row(12, 2, "I lifted all of these weights and then I fell over.", 608.19, 618.575),
        row(12, 3, "No way! I will not go to any doctor for this.", 624.874, 631.463),
        row(19, 0, "Hey.", 611.861, 614.99, episode=1),
        row(19, 1, "Hey!", 614.99, 615.133, episode=1),
        row(53, 0, "Hi!", 1242.741, 1245.159, speaker="Ben"),
    ]
    test = [
        # Another episode, since the number is wrong.
        row(84, 0, "Nothing!", 607.023, 608.023, episode=5),
        row(84, 1, "I lifted all of these weights and then, I fell over", 608.19, 618.575, episode=5),
        # One sentence as two utterances.
        row(85, 0, "No way!", 624.874, 626.124),
        row(85, 1, "I will not go to any doctor for this.", 626.292, 631.463),
        # A coincidence, and two lines in one subtitle.
        row(63, 0, "Hey.", 953.16, 954.752, episode=4),
        row(63, 1, "Hey!", 954.752, 956.809, episode=4),
        row(52, 0, "The door is open.", 1242.741, 1245.159),
    ]
    raw = write_meld(tmp_path / "meld", train=train, test=test)
    corpus = ingested("meld", raw)
    assert found(corpus, "repeated_across_splits") == [
        "train_dia12_utt1 = test_dia84_utt0",
        "train_dia12_utt2 = test_dia84_utt1",
        "train_dia12_utt3 = test_dia85_utt0",
        "train_dia12_utt3 = test_dia85_utt1",
    ]
    assert found(corpus, "overlapping_spans") == ["train_dia53, test_dia52"]
    said = warnings(corpus)
    assert said[0].startswith("4 of 7 utterances of test repeat utterances of train")
    assert said[1].startswith("1 of 7 utterances of test overlap in time with utterances of train that say")
    assert corpus.utterances.equals(meld.read(raw).utterances)
    dropped = ingested("meld", raw, drop_leaks=True)
    assert found(dropped, "leak_dropped") == [f"train_dia12_utt{turn}" for turn in (1, 2, 3)]
    assert dropped.utterances["utterance_id"].tolist()[:3] == [
        "train_dia12_utt0",
        "train_dia19_utt0",
        "train_dia19_utt1",
    ]
    assert dropped.facts["protocol"] == "official, leaks dropped"


def test_two_lines_in_one_subtitle_are_named_within_a_dialogue_only(tmp_path: Path) -> None:
    twice = [
        meld_row(4, 0, "All right."),
        meld_row(4, 1, "Tell me all.", start="04:00:10,000", end="04:00:12,500"),
    ]
    raw = write_meld(tmp_path, train=twice)
    corpus = ingested("meld", raw)
    assert found(corpus, "same_span") == ["train_dia4_utt0 = train_dia4_utt1"]


def test_a_script_in_two_sessions_is_told_but_never_dropped(tmp_path: Path) -> None:
    labels = ("hap", "sad", "neu", "ang", "exc", "fru")
    parts = [f"{'FM'[turn % 2]}{turn:03d}" for turn in range(6)]

    def turns(pace: float) -> list[tuple[str, float, float, str]]:
        return [(part, turn * pace, turn * pace + pace / 2, labels[turn]) for turn, part in enumerate(parts)]

    raw = write_iemocap(
        tmp_path,
        {"Ses01F_script01_1": turns(3.1), "Ses01F_impro01": turns(2.0)[:1], "Ses05F_script01_1": turns(4.7)},
    )
    corpus = ingested("iemocap", raw)
    assert not found(corpus, "repeated_across_splits")
    assert found(corpus, "same_words_across_splits") == ["Ses05F_script01_1"]
    assert warnings(corpus)[0].startswith(
        "6 of 6 utterances of test have the words of utterances of train, said again"
    )
    assert corpus.utterances.equals(iemocap.read(raw).utterances)
    assert ingested("iemocap", raw, drop_leaks=True).utterances.equals(corpus.utterances)


def test_published_vectors_keep_to_their_utterances_where_leaks_were_dropped(
    own: Path, tmp_path: Path
) -> None:
    whole = ingested("manifest", own).utterances
    published = whole[["dialogue_id", "position"]].assign(x=np.arange(len(whole), dtype=float))
    published.sample(frac=1, random_state=0).to_parquet(tmp_path / "audio.parquet")
    corpus = ingested("manifest", own, drop_leaks=True)
    parameters = FeatureParameters(audio={"path": str(tmp_path / "audio.parquet")})
    audio = clip_features(corpus.utterances, corpus.facts, tmp_path / "cache", parameters)[0]
    number = dict(zip(whole["utterance_id"], range(len(whole)), strict=True))
    assert audio["utterance_id"].tolist() == corpus.utterances["utterance_id"].tolist()
    assert [vector[0] for vector in audio["vector"]] == [number[name] for name in audio["utterance_id"]]


def test_equal_texts_of_two_splits_are_listed_and_told_where_they_are_many(tmp_path: Path) -> None:
    path = write_manifest(
        tmp_path,
        ("a", "train", ["We are all so happy.", "Yes, I know.", "Something that nobody else says."]),
        ("b", "val", ["Nobody says this at all.", "Yes, I know."]),
        ("c", "test", ["we are all so HAPPY!", "Yes, I know.", "And this is quite new."]),
    )
    corpus = ingested("manifest", path)
    assert found(corpus, "same_text_across_splits") == ["train and test"]
    assert corpus.facts["twice"] == {"same_text": {"test": {"train": 1}}}
    findings = audit_corpus(corpus.utterances, corpus.facts, corpus.irregularities)
    assert any("1 of 3 utterances of test have the same words" in said for said in findings["warnings"])
    # The words of an acted sentence are all that a single utterance is.
    rows = [
        "speaker,text,label,split",
        "a,It will happen.,glad,train",
        "b,Yes.,glad,val",
        "c,It will happen.,calm,test",
    ]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    assert found(ingested("manifest", path), "same_text_across_splits") == ["train and test"]


def test_published_text_vectors_are_joined_where_they_are_named(own: Path, tmp_path: Path, caplog) -> None:
    corpus = ingested("manifest", own)
    folder = tmp_path / "own_published"
    folder.mkdir()
    vectors = corpus.utterances[["utterance_id"]].assign(
        x=np.arange(len(corpus.utterances), dtype=float), y=1.0
    )
    vectors.to_parquet(folder / "text.parquet")
    asked = FeatureParameters(text={"path": "auto", "field": ["x"]})
    table, alone, record = text_features(corpus.utterances, corpus.facts, tmp_path, tmp_path / "own", asked)
    assert [vector.tolist() for vector in table["vector"]] == [[float(n)] for n in range(len(table))]
    assert record["extractor"]["name"] == "published:text.parquet"
    assert record["source"]["columns"] == ["x"]
    assert alone.empty
    assert list(alone)[-1] == f"p_{corpus.labels[-1]}"
    ignoring = FeatureParameters(text={"extractor": "tfidf"})
    _, _, record = text_features(corpus.utterances, corpus.facts, tmp_path, tmp_path / "own", ignoring)
    assert record["extractor"]["name"] != "published:text.parquet"
    assert any("text.parquet is not used" in said for said in caplog.messages)
