"""Small releases in the layouts of MELD and IEMOCAP; every sentence in them is made up."""

import json
from pathlib import Path

from erc_kedro import schemas
from erc_kedro.corpora import Corpus

MELD_HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
)


def meld_row(
    dialogue: int,
    utterance: int,
    text: str = "A made up sentence.",
    label: str = "neutral",
    start: str = "",
    end: str = "",
    speaker: str = "Ada",
    season: int = 1,
) -> str:
    """One CSV row; without times, a span that no other row has."""
    minute = utterance % 60
    start = start or f"{dialogue:02d}:{minute:02d}:10,000"
    end = end or f"{dialogue:02d}:{minute:02d}:12,500"
    return f'1,"{text}",{speaker},{label},neutral,{dialogue},{utterance},{season},2,"{start}","{end}"'


def write_meld(folder: Path, **splits: list[str]) -> Path:
    """The three CSVs, flat; a split that is not given has one dialogue of two utterances."""
    folder.mkdir(parents=True, exist_ok=True)
    for season, split in enumerate(("train", "dev", "test"), 1):
        own = [meld_row(0, turn, f"Only in {split} {turn}.", season=season) for turn in (0, 1)]
        write_csv(folder / f"{split}_sent_emo.csv", splits.get(split, own))
    return folder


def write_csv(path: Path, rows: list[str], header: str = MELD_HEADER) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\r\n".join([header, *rows, ""]).encode("utf-8"))


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


# (utterance's last part, start, end, emotion)
Turn = tuple[str, float, float, str]


def write_iemocap(root: Path, dialogues: dict[str, list[Turn]]) -> Path:
    """Transcripts and evaluations; a turn is evaluated and transcribed with the same times."""
    for name, turns in dialogues.items():
        evaluation = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
        transcript = []
        for part, start, end, code in turns:
            evaluation += [f"[{start:.4f} - {end:.4f}]\t{name}_{part}\t{code}\t[2.5000, 2.5000, 2.5000]"]
            evaluation += ["C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
            transcript += [f"{name}_{part} [{start:08.4f}-{end:08.4f}]: A made up sentence of {part}."]
        for kind, lines in (("EmoEvaluation", evaluation), ("transcriptions", transcript)):
            path = iemocap_file(root, name, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines) + "\n", "utf-8")
    return root


def iemocap_file(root: Path, dialogue: str, kind: str) -> Path:
    return root / f"Session{int(dialogue[3:5])}" / "dialog" / kind / f"{dialogue}.txt"


def append(path: Path, line: str) -> int:
    """Append a line and return its 1-based number."""
    text = path.read_text("utf-8")
    path.write_text(f"{text}{line}\n", "utf-8")
    return text.count("\n") + 1


def found(corpus: Corpus, kind: str) -> list[str]:
    """Where a reader met this kind of irregularity."""
    rows = corpus.irregularities
    return rows.loc[rows["kind"] == kind, "where"].tolist()


def rows_of(corpus: Corpus) -> dict[str, dict]:
    """A reader's table by utterance, after its schema has passed it."""
    schemas.utterances.validate(corpus.utterances)
    return corpus.utterances.set_index("utterance_id").to_dict("index")


# (speakers, text, emotion) of an utterance.
Said = tuple[list[str], str, str | None]


def write_emorynlp(folder: Path, **splits: dict[str, list[Said]]) -> Path:
    """The release's three JSON files; a split (trn, dev, tst) that is not given has one scene."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, split in enumerate(("trn", "dev", "tst"), 1):
        own = {f"s02_e{number:02d}_c01": [(["Ada"], f"Only in {split}.", "Joyful")]}
        episodes: dict[str, dict] = {}
        for scene, turns in splits.get(split, own).items():
            episode = episodes.setdefault(scene[:7], {"episode_id": scene[:7], "scenes": []})
            utterances = [
                {
                    "utterance_id": f"{scene}_u{at:03d}",
                    "speakers": speakers,
                    "transcript": text,
                    "tokens": [text.split()],
                    "emotion": emotion,
                }
                for at, (speakers, text, emotion) in enumerate(turns, 1)
            ]
            episode["scenes"].append({"scene_id": scene, "utterances": utterances})
        release = {"episodes": [*episodes.values()]}
        (folder / f"emotion-detection-{split}.json").write_text(json.dumps(release, indent=1), "utf-8")
    return folder


EMORYNLP_HEADER = "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time"


def emorynlp_row(
    scene: int, utterance: int, text: str = "Made up.", label: str = "Sad", episode: int = 1
) -> str:
    times = f"00:00:{utterance:02d}.100,00:00:{utterance + 1:02d}.250"
    return f"\"{text}\",['Ada Roe'],{label},{scene},{utterance},2,{episode},{times}"


def write_emorynlp_csv(folder: Path, **splits: list[str]) -> Path:
    """The three CSVs that papers share; a split that is not given has one scene of two utterances."""
    for episode, split in enumerate(("train", "dev", "test"), 1):
        own = [emorynlp_row(1, turn, f"Only in {split} {turn}.", episode=episode) for turn in (1, 2)]
        write_csv(folder / f"emorynlp_{split}_final.csv", splits.get(split, own), EMORYNLP_HEADER)
    return folder


def write_dailydialog(folder: Path, **splits: list[list[tuple[str, int]]]) -> Path:
    """Each split's folder as its zip has it; one that is not given has one dialogue of two utterances."""
    for split in ("train", "validation", "test"):
        dialogues = splits.get(split, [[(f"Only in {split} .", 0), ("Really ?", 6)]])
        (folder / split).mkdir(parents=True, exist_ok=True)
        texts = "".join(
            "".join(f" {text} __eou__" for text, _ in turns).strip() + "\n" for turns in dialogues
        )
        codes = "".join("".join(f"{code} " for _, code in turns) + "\n" for turns in dialogues)
        (folder / split / f"dialogues_{split}.txt").write_text(texts, "utf-8")
        (folder / split / f"dialogues_emotion_{split}.txt").write_text(codes, "utf-8")
        (folder / split / f"dialogues_act_{split}.txt").write_text(codes, "utf-8")
    return folder
