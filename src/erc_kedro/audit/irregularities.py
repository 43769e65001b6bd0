"""What the oddities that readers list mean, and how many of each kind there are."""

from typing import Any

import pandas as pd

# Of everything that is listed, so many examples are.
MOST_EXAMPLES = 50

MEANINGS = {
    "clip_without_row": "A clip that no row of the annotations speaks of; it is not used.",
    "row_without_clip": "An utterance without a clip; its voice and face are absent.",
    "no_clips": "No clip was found at all; only text can be used, or features that others published.",
    "clip_unplaced": "A clip whose split or number its name and folders do not say; it is not used.",
    "clip_found_twice": "The same clip lies in two places; the first one is used.",
    "two_clips": "A test clip that exists with and without a prefix; the prefixed one is used.",
    "numbering_gap": "Utterance numbers are missing in a dialogue; positions are counted without the gap.",
    "missing_dialogue_id": "A number is missing in the sequence of dialogues.",
    "cp1252_bytes": "Bytes that are not UTF-8; they were read as Windows characters.",
    "c1_control": "Control characters that were meant as Windows characters; they were repaired.",
    "mojibake": "Characters that had been decoded wrongly before; they were repaired.",
    "curly_quotes": "Curly quotes; they were made straight.",
    "backslash_quotes": "Backslashes before a quote or another backslash; they were left out.",
    "lost_characters": "Characters that another program could not read and put U+FFFD for; they are gone.",
    "missing_value": "What programs write for a missing value, such as NA or nan; the cell counts as empty.",
    "missing_value_as_text": "A text that programs write for a missing value; it was kept, as if said.",
    "names_alike": "Names that only case, white space, invisible characters or, of classes, quotes, full "
    "stops, hyphens and underscores tell apart; they count as two.",
    "unused_column": "A column that is none of a manifest's; it was not read, but may make folds.",
    "outside_bins": "Ratings in none of the classes of ingestion.bins; their utterances have no label.",
    "hour_of_one_digit": "Times whose hour has one digit; they are read as they are meant.",
    "odd_time": "A time with missing digits; read as a decimal fraction.",
    "end_before_start": "An utterance that ends before it starts; its clip or span cannot be trusted.",
    "zero_duration": "An utterance that ends when it starts.",
    "implausibly_long": "An utterance of more than a minute; its clip may show something else too.",
    "same_span": "Utterances of one dialogue that name one span; their clips hold the same sound.",
    "repeated_across_splits": "An utterance of which another split holds the same recording: a leak.",
    "repeated_in_split": "Dialogues of one split that hold the same recording; folds keep them together.",
    "same_words_across_splits": "A dialogue whose words another split holds, too, said again: a script, say.",
    "same_text_across_splits": "Utterances whose words an utterance of an earlier split has, too; of a "
    "conversation, those of four words or more.",
    "overlapping_spans": "Dialogues whose spans of one recording overlap though the words differ: a time is "
    "wrong, or their clips hold the same sound.",
    "leak_dropped": "An utterance that was left out, since a later split holds the same recording.",
    "empty_text": "An utterance without text.",
    "missing_session": "A session's folder is not there.",
    "hidden_file": "Hidden files, as archives from a Mac have them; they were left out.",
    "not_an_utterance": "A line of a transcript without an utterance id and times; it was left out.",
    "utterance_in_foreign_file": "An utterance that stands in another dialogue's file; its id is believed.",
    "emotions_do_not_match": "A dialogue with more or fewer emotions than utterances; it has no labels.",
    "no_label": "Utterances that nobody gave an emotion; they stay as context, without a label.",
    "no_speaker": "Utterances without a speaker's name; they count as said by one unnamed speaker.",
    "several_speakers": "Utterances that several say at once; together they count as one more speaker.",
    "evaluated_without_transcript": "An utterance with a label but no transcript; its text is empty.",
    "transcript_without_evaluation": "A transcribed turn that nobody evaluated; it was left out.",
    "time_mismatch": "Transcript and evaluation disagree about the times; the evaluation is used.",
    "overlapping_turns": "Utterances that start before an earlier one has ended; both speakers are heard.",
    "label_outside_classes": "Utterances whose majority label is none of the classes.",
    "community_relabelled": "An utterance without a majority label that the community counts as happy.",
    "community_id_absent": "An utterance of the community's list that this copy of the corpus does not have.",
    "missing_media": "What the manifest names does not exist, or is no file.",
    "missing_wav": "An utterance without a wav.",
    "missing_avi": "A dialogue without a video.",
    "no_wav": "No wav was found at all.",
    "no_avi": "No video was found at all.",
    "several_groups": "A speaker is said to be in several groups; scores by group leave the speaker out.",
    "positions_recounted": "Positions did not count 0, 1, 2, …; they were recounted.",
    "shared_wav": "Rows share a sound file beside a clip: all of it is used for each; leave the cell empty.",
    "shared_clip_without_times": "Rows share a clip, and this one has no times: all of the clip is used.",
}


def grouped(irregularities: pd.DataFrame) -> list[dict[str, Any]]:
    """A reader's table of kind, where, detail: of each kind the count, the meaning and examples."""
    return [
        {
            "kind": str(kind),
            "count": len(rows),
            "meaning": MEANINGS.get(str(kind), ""),
            "examples": rows[["where", "detail"]].head(MOST_EXAMPLES).to_dict("records"),
        }
        for kind, rows in irregularities.groupby("kind")
    ]
