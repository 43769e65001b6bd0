import itertools
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from erc_kedro import schemas
from erc_kedro.audit.corpus import audit_corpus
from erc_kedro.corpora import Corpus, CorpusError, iemocap, meld
from erc_kedro.demo import emotions, interview, voice
from erc_kedro.demo import iemocap as demo_iemocap
from erc_kedro.demo import meld as demo_meld
from erc_kedro.demo.corpora import write
from erc_kedro.extractors import runner, text
from erc_kedro.extractors.base import Line
from erc_kedro.extractors.cache import Result
from erc_kedro.files import LOCKS
from tests.defaults import AudioParameters, RunnerParameters, TextParameters, VisualParameters

# What the extractors must find in a broken clip, for its sound and for its picture.
REASONS = {
    "missing": ("no_media", "no_media"),
    "truncated": ("unreadable", "unreadable"),
    "silent": ("silent", "ok"),
    "no_video": ("ok", "no_video"),
    "no_face": ("ok", "no_face"),
    "short": ("too_short", "ok"),
    "empty": ("unreadable", "unreadable"),
    "garbage": ("unreadable", "unreadable"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both corpora, MELD's large enough for accuracies."""
    path = tmp_path_factory.mktemp("embedded") / "raw"
    write(path, seed=0, meld_dialogues=24, iemocap_dialogues_per_session=2)
    return path


@pytest.fixture(scope="module")
def extracted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Result]]:
    """What the default extractors make of MELD's clips, without Whisper, which takes a minute."""
    settings = runner.Settings(
        AudioParameters(extractor="functionals"), VisualParameters(), RunnerParameters(n_jobs=1)
    )
    found = runner.extract(corpus_of(folder, "meld").utterances, settings, tmp_path_factory.mktemp("cache"))
    return {modality: results for modality, (_, results) in found.items()}


def corpus_of(folder: Path, name: str) -> Corpus:
    return {"meld": meld.read, "iemocap": iemocap.read}[name](folder / name)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def broken_of(folder: Path) -> dict[str, str]:
    return json.loads((folder / "broken.json").read_text("utf-8"))


def matrix(results: list[Result]) -> np.ndarray:
    """Vectors [utterances, dimension]; the mean where there is none."""
    mean = np.mean([result.vector for result in results if result.reason == "ok"], axis=0)
    return np.stack([mean if result.vector is None else result.vector for result in results])


@pytest.fixture
def without_media(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of no content, for what does not depend on it."""

    def film_meld(path: Path, *_: object) -> float:
        path.write_bytes(b"")
        return 2.0

    def film_iemocap(session: Path, name: str, _: object, turns: dict[str, object], __: object) -> object:
        (session / "dialog").mkdir(parents=True, exist_ok=True)
        (session / "sentences" / "wav" / name).mkdir(parents=True)
        for utterance_id in turns:
            (session / "sentences" / "wav" / name / f"{utterance_id}.wav").write_bytes(b"")
        return [(2.0 * turn, 2.0 * turn + 1.5) for turn in range(len(turns))]

    monkeypatch.setattr(interview, "write", lambda *_: None)
    monkeypatch.setattr(demo_meld, "_film", film_meld)
    monkeypatch.setattr(demo_iemocap, "_film", film_iemocap)


@pytest.mark.parametrize("name", ["meld", "iemocap"])
def test_both_corpora_can_be_trained_on(folder: Path, name: str) -> None:
    corpus = corpus_of(folder, name)
    table = schemas.utterances.validate(corpus.utterances)
    assert corpus.facts["synthetic"] is True
    assert audit_corpus(table, corpus.facts, corpus.irregularities)["errors"] == []
    for split in schemas.SPLITS:
        assert set(table.loc[table["split"] == split, "label"]) == set(corpus.labels)


@pytest.mark.parametrize("name", ["meld", "iemocap"])
def test_every_utterance_has_its_media_but_the_missing_ones(folder: Path, name: str) -> None:
    table = corpus_of(folder, name).utterances.set_index("utterance_id")
    missing = {utterance for utterance, how in broken_of(folder).items() if how == "missing"}
    column = "clip" if name == "meld" else "wav"
    assert set(table.index[table[column].isna()]) == missing & set(table.index)
    if name == "iemocap":
        assert table["clip"].notna().all()
        assert table["frame_side"].isin(["left", "right"]).all()
        assert len(missing & set(table.index)) == 1


def test_a_wav_lasts_as_long_as_its_turn_and_the_avi_holds_the_dialogue(folder: Path) -> None:
    table = corpus_of(folder, "iemocap").utterances
    for turn in table.dropna(subset="wav").itertuples():
        with av.open(turn.wav) as file:
            assert (file.streams.audio[0].rate, file.streams.audio[0].channels) == (16_000, 1)
            assert file.duration / av.time_base == pytest.approx(turn.end_s - turn.start_s, abs=0.001)
    for clip, turns in table.groupby("clip"):
        with av.open(str(clip)) as file:
            video = file.streams.video[0]
            assert float(video.duration * video.time_base) >= turns["end_s"].max()
            assert (video.width, video.height) == (640, 240)


def test_the_speaker_s_mouth_moves_in_the_half_of_the_frame_that_the_reader_names(folder: Path) -> None:
    table = corpus_of(folder, "iemocap").utterances
    right = []
    for clip, turns in itertools.islice(table.groupby("clip"), 4):
        with av.open(str(clip)) as file:
            frames = np.stack([frame.to_ndarray(format="gray") for frame in file.decode(video=0)]).astype(
                float
            )
        change = np.abs(np.diff(frames[:, 120:180], axis=0)).mean(1)
        halves = np.stack([change[:, :320].mean(1), change[:, 320:].mean(1)])
        for turn in turns.itertuples():
            first, last = (round(time * 12.5) for time in (turn.start_s + 0.1, turn.end_s - 0.1))
            right.append(int(halves[:, first:last].mean(1).argmax()) == (turn.frame_side == "right"))
    assert np.mean(right) > 0.85


def test_the_extractors_find_what_was_broken_and_nothing_else(
    folder: Path, extracted: dict[str, list[Result]]
) -> None:
    ids = corpus_of(folder, "meld").utterances["utterance_id"]
    broken = {key: how for key, how in broken_of(folder).items() if not key.startswith("Ses")}
    assert sorted(broken.values()) == sorted(demo_meld.BREAKAGES)
    assert len(broken) <= len(ids) / 10
    found = zip(ids, extracted["audio"], extracted["visual"], strict=True)
    for utterance_id, audio, visual in found:
        expected = REASONS[broken[utterance_id]] if utterance_id in broken else ("ok", "ok")
        assert (audio.reason, visual.reason) == expected


def test_the_face_is_found_in_nearly_all_frames(folder: Path, extracted: dict[str, list[Result]]) -> None:
    facts = [result.facts for result in extracted["visual"] if result.reason == "ok"]
    assert sum(fact["with_face"] for fact in facts) > 0.97 * sum(fact["frames"] for fact in facts)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    clips = (
        corpus_of(folder, "meld")
        .utterances.set_index("utterance_id")["clip"]
        .drop([key for key in broken_of(folder) if not key.startswith("Ses")])
    )
    seen = []
    for clip in clips[::10]:
        with av.open(clip) as file:
            for frame in itertools.islice(file.decode(video=0), 0, None, 6):
                seen.append(len(cascade.detectMultiScale(frame.to_ndarray(format="gray"), 1.1, 3)) > 0)
    assert np.mean(seen) > 0.9


def test_modalities_complement_each_other(folder: Path, extracted: dict[str, list[Result]]) -> None:
    table = corpus_of(folder, "meld").utterances
    lines = [Line(sentence) for sentence in table["text"]]
    parts = {modality[0]: matrix(results) for modality, results in extracted.items()}
    parts["t"] = text.Transformer(TextParameters())(lines)

    def accuracy(heads: str) -> float:
        inputs = np.hstack([parts[head] for head in heads])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        folds = {"groups": table["dialogue_id"], "cv": GroupKFold(5)}
        return float(cross_val_score(model, inputs, table["label"], **folds).mean())

    found = {heads: accuracy(heads) for heads in ("t", "a", "v", "ta", "tv", "av", "tav")}
    for heads, score in found.items():
        if len(heads) == 1:
            assert 0.4 < score < 0.75, found
        for part in itertools.combinations(heads, len(heads) - 1):
            assert not part or score > found["".join(part)] + 0.01, found
    assert found["tav"] > 0.75, found


def said_with(emotion: str) -> tuple[float, float]:
    """Mean pitch in Hz and level in dB of how one speaker says one sentence with an emotion."""
    pitches, levels = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        manner = emotions.delivery(rng, emotion, "own", ())
        words = ["Well,", "I", "talked", "to", "them", "about", "the", "letter."]
        sound = voice.speak(rng, voice.Voice(150, 1.05), manner, words).astype(float)
        spectrum = np.abs(np.fft.rfft(sound, 2 * len(sound))) ** 2
        lags = np.fft.irfft(spectrum)
        shortest, longest = voice.RATE // 350, voice.RATE // 80
        pitches.append(voice.RATE / (shortest + lags[shortest:longest].argmax()))
        levels.append(10 * np.log10(np.mean(sound**2)))
    return float(np.median(pitches)), float(np.mean(levels))


def test_voices_differ_in_pitch_and_energy() -> None:
    heard = {name: said_with(name) for name in ("neutral", "surprise", "anger", "sadness", "fear")}
    assert min(heard["surprise"][0], heard["fear"][0]) > 1.15 * heard["neutral"][0]
    assert heard["sadness"][0] < heard["neutral"][0]
    assert heard["anger"][1] > heard["neutral"][1] + 5
    assert heard["sadness"][1] < heard["neutral"][1] - 4


def test_speech_lasts_one_to_three_seconds_and_never_clips() -> None:
    loudest = voice.Delivery(level=15, tension=1, rate=12)
    for words, manner in ((["oh"], loudest), (["very,"] * 40, voice.Delivery(rate=1))):
        sound = voice.speak(np.random.default_rng(0), voice.Voice(120, 1.0), manner, words)
        assert 1 <= len(sound) / voice.RATE <= 3
        assert np.abs(sound).max() < 1


@pytest.mark.parametrize("count", [10, 300])
def test_what_is_shown_is_dealt_in_the_same_shares(count: int) -> None:
    hands = [emotions.deal(np.random.default_rng(seed), count) for seed in (0, 1)]
    assert hands[0] != hands[1]
    assert [len(hand) for hand in hands] == [count, count]
    columns = [
        [sorted(getattr(shown, m) for shown in hand) for m in ("text", "audio", "visual")] for hand in hands
    ]
    assert columns[0] == columns[1]


@pytest.mark.usefixtures("without_media")
@pytest.mark.parametrize("protocol", ["community", "release"])
@pytest.mark.parametrize("dialogues", [2, 30])
def test_iemocap_has_every_split_and_label_at_every_size(
    tmp_path: Path, protocol: str, dialogues: int
) -> None:
    write(tmp_path / "raw", 0, 6, dialogues, n_jobs=1)
    table = iemocap.read(tmp_path / "raw" / "iemocap", protocol).utterances  # type: ignore[arg-type]
    assert set(table["split"]) == {"train", "val", "test"}
    assert table["dialogue_id"].nunique() == 5 * dialogues
    assert set(table.loc[table["split"] == "train", "label"]) == set(iemocap.LABELS)


@pytest.mark.usefixtures("without_media")
@pytest.mark.parametrize("seed", range(5))
def test_the_default_size_has_every_label_in_every_split(tmp_path: Path, seed: int) -> None:
    write(tmp_path / "raw", seed, 12, 2, n_jobs=1)
    table = meld.read(tmp_path / "raw" / "meld").utterances
    assert 57 <= len(table) <= 63
    assert (table.groupby("split")["label"].nunique() == len(meld.LABELS)).all()
    broken = [how for key, how in broken_of(tmp_path / "raw").items() if not key.startswith("Ses")]
    assert broken == [*demo_meld.BREAKAGES[:6]]


def test_irregularities_of_the_releases_are_there(folder: Path) -> None:
    assert {"cp1252_bytes", "numbering_gap", "hour_of_one_digit", "row_without_clip"} <= set(
        corpus_of(folder, "meld").irregularities["kind"]
    )
    assert {
        "not_an_utterance",
        "transcript_without_evaluation",
        "label_outside_classes",
        "overlapping_turns",
        "missing_wav",
    } <= set(corpus_of(folder, "iemocap").irregularities["kind"])


def test_same_seed_same_bytes_whatever_the_processes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "alone", 0, 6, 2, n_jobs=1)
    for name in ("iemocap", "interview"):
        assert tree(tmp_path / "alone" / name) == tree(folder / name)
    monkeypatch.setattr(interview, "write", lambda *_: None)
    monkeypatch.setattr(demo_iemocap, "write", lambda *_: {})
    for name, seed in (("together", 0), ("other", 1)):
        write(tmp_path / name, seed, 6, 2, n_jobs=2)
    alone, together, other = (tree(tmp_path / name / "meld") for name in ("alone", "together", "other"))
    assert alone == together
    clips = [name for name in alone.keys() & other.keys() if name.endswith(".mp4")]
    # A clip that is broken may be empty with either seed.
    assert sum(alone[name] == other[name] for name in clips) <= 1 < len(clips)


def test_everything_says_that_it_is_generated(folder: Path) -> None:
    said = {path.parent.name for path in folder.rglob("SYNTHETIC.md")}
    assert said == {folder.name, "meld", "iemocap", "interview"}


def test_the_default_size_is_below_30_mb(folder: Path) -> None:
    # IEMOCAP has its default size here, and MELD more than twice its own.
    assert sum(len(content) for content in tree(folder).values()) < 30_000_000


@pytest.mark.usefixtures("without_media")
def test_only_a_generated_folder_is_replaced(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "keep.txt").write_text("mine", "utf-8")
    with pytest.raises(CorpusError, match=r"SYNTHETIC.md; name another folder"):
        write(own, 0, 6, 2, n_jobs=1)
    assert tree(own) == {"keep.txt": b"mine"}

    generated = tmp_path / "generated"
    write(generated, 0, 6, 2, n_jobs=1)
    (generated / "left over").write_text("x", "utf-8")
    write(generated, 0, 6, 2, n_jobs=1)
    assert not (generated / "left over").exists()
    assert {path.name for path in tmp_path.iterdir()} - {LOCKS} == {"generated", "own"}


@pytest.mark.usefixtures("without_media")
def test_a_failure_leaves_the_old_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "raw"
    write(folder, 0, 6, 2, n_jobs=1)
    before = tree(folder)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(demo_iemocap, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        write(folder, 1, 6, 2, n_jobs=1)
    assert tree(folder) == before
    assert {path.name for path in tmp_path.iterdir()} - {LOCKS} == {"raw"}


@pytest.mark.parametrize(("dialogues", "per_session"), [(5, 2), (6, 1), (6, 31)])
def test_sizes_out_of_range_are_refused(tmp_path: Path, dialogues: int, per_session: int) -> None:
    with pytest.raises(ValueError, match="at least 6"):
        write(tmp_path / "raw", 0, dialogues, per_session)
