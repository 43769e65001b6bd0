from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from erc_kedro import schemas
from erc_kedro.corpora import Corpus, CorpusError, iemocap, meld, published, synthetic
from erc_kedro.evaluation import audit


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedded") / "raw"
    synthetic.write(path, seed=3, meld_dialogues=120, iemocap_dialogues_per_session=8)
    return path


def corpus_of(folder: Path, name: str) -> Corpus:
    return {"meld": meld.read, "iemocap": iemocap.read}[name](folder / name)


def features_of(folder: Path, name: str, utterances: pd.DataFrame) -> dict[str, pd.DataFrame]:
    files = {"audio": "audio_synthetic.parquet", "visual": "visual_synthetic.npz"}
    where = folder / f"{name}_published"
    return {modality: published.read(where / file, utterances, modality) for modality, file in files.items()}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["meld", "iemocap"])
def test_both_corpora_can_be_trained_on(folder: Path, name: str) -> None:
    corpus = corpus_of(folder, name)
    table = schemas.utterances.validate(corpus.utterances)
    assert corpus.facts["synthetic"] is True
    assert set(table["label"]) == set(corpus.labels)
    findings = audit.audit_corpus(table, corpus.facts, corpus.irregularities)
    assert findings["errors"] == []
    features = features_of(folder, name, table)
    assert audit.audit_features(features, table)["errors"] == []
    assert "not_finite" in set(features["audio"]["reason"])
    assert all("not_in_file" in set(part["reason"]) for part in features.values())


@pytest.mark.parametrize("protocol", ["community", "release"])
@pytest.mark.parametrize("dialogues", [2, 30])
def test_iemocap_has_every_split_at_every_size(tmp_path: Path, protocol: str, dialogues: int) -> None:
    synthetic.write(tmp_path / "raw", 0, 6, dialogues)
    table = iemocap.read(tmp_path / "raw" / "iemocap", protocol).utterances  # type: ignore[arg-type]
    assert set(table["split"]) == {"train", "val", "test"}
    assert table["dialogue_id"].nunique() == 5 * dialogues


def test_irregularities_of_the_releases_are_there(folder: Path) -> None:
    assert {"cp1252_bytes", "numbering_gap", "hour_of_one_digit", "no_clips"} <= set(
        corpus_of(folder, "meld").irregularities["kind"]
    )
    assert {"not_an_utterance", "transcript_without_evaluation", "label_outside_six"} <= set(
        corpus_of(folder, "iemocap").irregularities["kind"]
    )


@pytest.mark.parametrize("name", ["meld", "iemocap"])
def test_modalities_complement_each_other(folder: Path, name: str) -> None:
    table = corpus_of(folder, name).utterances
    words = table["text"].str.lower().str.get_dummies(" ").to_numpy(float)
    parts = {"t": words - words.mean(0)}
    for modality, rows in features_of(folder, name, table).items():
        parts[modality[0]] = np.stack(rows["vector"].tolist())
    training = (table["split"] == "train").to_numpy()
    labels = table["label"].to_numpy()

    def accuracy(heads: str) -> float:
        inputs = np.hstack([parts[head] for head in heads])
        model = LogisticRegression(C=0.3, max_iter=500).fit(inputs[training], labels[training])
        return float(model.score(inputs[~training], labels[~training]))

    singles = [accuracy(heads) for heads in "tav"]
    pairs = [accuracy(heads) for heads in ("ta", "tv", "av")]
    everything = accuracy("tav")
    assert 0.4 < min(singles) <= max(singles) < 0.68
    assert max(singles) < min(pairs) <= max(pairs) < everything
    assert everything < 0.9


def test_same_seed_same_bytes_and_other_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthetic.write(tmp_path / name, seed, 8, 3)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert tree(tmp_path / "a") != tree(tmp_path / "c")


def test_everything_says_that_it_is_generated(folder: Path) -> None:
    said = {path.parent.name for path in folder.rglob("SYNTHETIC.md")}
    assert said == {folder.name, "meld", "meld_published", "iemocap", "iemocap_published"}
    assert sum(len(content) for content in tree(folder).values()) < 5_000_000


def test_only_a_generated_folder_is_replaced(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "keep.txt").write_text("mine", "utf-8")
    with pytest.raises(CorpusError, match=r"SYNTHETIC.md; name another folder"):
        synthetic.write(own, 0, 6, 2)
    assert tree(own) == {"keep.txt": b"mine"}

    generated = tmp_path / "generated"
    synthetic.write(generated, 0, 6, 2)
    (generated / "left over").write_text("x", "utf-8")
    synthetic.write(generated, 0, 6, 2)
    assert not (generated / "left over").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generated", "own"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "raw"
    synthetic.write(folder, 0, 6, 2)
    before = tree(folder)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(synthetic, "_write_iemocap", fail)
    with pytest.raises(OSError, match="disk full"):
        synthetic.write(folder, 1, 6, 2)
    assert tree(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize(("dialogues", "per_session"), [(5, 2), (6, 1), (6, 31)])
def test_sizes_out_of_range_are_refused(tmp_path: Path, dialogues: int, per_session: int) -> None:
    with pytest.raises(ValueError, match="at least 6"):
        synthetic.write(tmp_path / "raw", 0, dialogues, per_session)
