"""What is odd in a recording and could be used all the same: counted, and said with the first places."""

from collections import defaultdict
from typing import Any

from erc_kedro.escaping import line

# In the order in which they are shown.
MEANINGS = {
    "shifted": "The transcript's times seem to be off: moved by so much, they fit the sound far better.",
    "in_silence": "Most of what the transcript has said lies where the sound is silent.",
    "breaks_off": "The media file ends before the end that it declares; it may be a part of a file.",
    "no_audio": "The media file has no sound that can be decoded, so no voice is heard.",
    "no_times": "Turns without times; the media cannot be used for them.",
    "before_start": "Turns that end before the recording begins; left out.",
    "beyond_end": "Turns that begin after the media has ended; left out.",
    "negative_times": "Turns that begin before the recording does; their part before it is cut off.",
    "past_end": "Turns that end after the media has ended; their end is the media's.",
    "reversed_times": "Turns that end before they begin; the two times are exchanged.",
    "no_length": "Turns that end when they begin; nothing is heard or seen of them.",
    "ends_from_next": "Turns that have only a beginning; they end where the next begins, or after as long as "
    "slow speech takes.",
    "unreadable_cue": "Lines that should be a cue, a row or a segment, and cannot be read; left out.",
    "empty": "Turns in which nothing is said; left out.",
    "non_speech": "Turns that are sounds, music or notes, such as [music] or (laughs); left out.",
    "duplicates": "Turns that repeat the one before, with the same speaker and times; left out.",
    "rolling_captions": "Captions that show their lines twice, as those that move upwards do; shown once.",
    "overlap": "Turns that begin before another has ended. Voices that speak at once are not separated, "
    "but by channels.",
    "gap": "More than ten seconds in which nobody says anything; they stay empty.",
    "out_of_order": "Turns that stand after later ones; sorted by time.",
    "unnamed_speaker": "Turns of which the transcript does not say who speaks; the speaker is unknown.",
    "rttm_speaker": "Turns whose speaker is the one that the RTTM file has at that time.",
    "channel_speaker": "Turns that the transcript gives nobody by name; the speaker is the one whose channel "
    "is louder.",
    "names_alike": "Speakers whose names hardly differ; they count as several. Rename them (score.speakers).",
    "several_speakers": "Turns in which several speak; each one's part is a turn of its own.",
    "split": "Turns that are longer than score.longest_turn_s or longest_turn_words; split at sentence ends.",
    "one_channel": "score.channels names speakers, and the sound has not two channels; it is not used.",
    "channels_alike": "The sound's two channels are the same, so that score.channels is not used.",
    "channels_unused": "score.channels names nobody who speaks here; rename speakers in score.speakers.",
    "frame_side_unused": "score.frame_side names nobody who speaks here; rename speakers in score.speakers.",
    "markup": "Turns with marks of HTML or of subtitles in them; these are removed.",
    "direction_marks": "Turns with invisible marks of the writing's direction; these are removed.",
    "lost_characters": "Characters that an earlier program could not read and replaced with U+FFFD.",
    "milliseconds": "Whole numbers of milliseconds, as Whisper's own tables have them; read as such.",
    "other_format": "The file is of another kind than its name says; it is read as what it is.",
    "system_message": "Lines that a chat program wrote; left out.",
    "tier_not_read": "Tiers that hold no speech: words, sounds, numbers, points or notes.",
    "column_not_read": "Columns that say nothing to scoring.",
    "model_output": "What a model said of emotions, in an output that is read as a transcript; not read. "
    "Call a corrected tier label.",
    "unknown_label": "Labels that the model does not have; they count in no score. Map them in score.labels.",
    "label_unplaced": "Labels that belong to no turn, or to none alone; not used.",
    "other_files": "Files of the same name that are not used.",
    "missing_media": "Media files that a manifest names and that do not exist.",
    "manifest": "What is odd in the manifest, as ingestion lists it.",
}
# Places that are named, and characters of each.
_NAMED, _LONGEST = 3, 200


class Remarks:
    """Collects what is odd, by kind."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = defaultdict(list)
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, kind: str, place: str, count: int = 1) -> None:
        """Counts something of a kind of ``MEANINGS`` and keeps its first places."""
        self._counts[kind] += count
        if len(self._places[kind]) < _NAMED:
            self._places[kind].append(line(place, _LONGEST))

    def facts(self) -> list[dict[str, Any]]:
        """Each kind with its count, and a ``detail`` that names the first places."""
        made = []
        for kind in MEANINGS:
            if count := self._counts.get(kind):
                places = self._places[kind]
                shown = "; ".join(places)
                # A single place may stand for more than one thing.
                more = count - len(places) if len(places) == _NAMED else 0
                detail = f"{shown}; and {more} more" if more else shown
                made.append({"kind": kind, "count": count, "detail": detail})
        return made
