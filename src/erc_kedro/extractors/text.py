"""What was said, as a vector: any encoder of ``transformers``, or TF-IDF where there are no weights."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from itertools import chain
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from erc_kedro import extractors
from erc_kedro.extractors.base import ExtractionError, Line, Metadata, fingerprint
from erc_kedro.extractors.cache import Cache, Result, matrix
from erc_kedro.extractors.finetuned import FineTuned, log_probabilities
from erc_kedro.parameters import TextParameters, WindowParameters
from erc_kedro.progress import bar as progress_bar


class Extracted(NamedTuple):
    """The text of a corpus as vectors.

    Attributes:
        vectors: [N, D].
        metadata: of the extractor that made them.
        read: what the head of a fine-tuned encoder reads [N, H]; None for an encoder without one.
        keys: of each utterance's vectors in the cache, which with them forgets them (``Cache.forget``).
    """

    vectors: np.ndarray
    metadata: Metadata
    read: np.ndarray | None = None
    keys: Sequence[tuple[str, ...]] = ()


def extract(
    utterances: pd.DataFrame,
    parameters: TextParameters,
    cache: Path,
    finetuned: FineTuned | None = None,
    loaded: dict[TextParameters, Any] | None = None,
) -> Extracted:
    """A vector for every utterance, in the table's order; only what the cache lacks is encoded.

    Args:
        cache: its folder.
        finetuned: the fine-tuned encoder that the parameters stand for, if they do: its settings go before
            the parameters', and a training dialogue's vectors are those of an encoder that did not see it,
            where there are such.
        loaded: extractors by their parameters, for whoever calls often; what is missing is added.

    Raises:
        ExtractionError: there is no such extractor, or it fails.
    """
    loaded = {} if loaded is None else loaded
    if finetuned is None:
        spoken = lines(utterances, parameters)
        splits = utterances["split"]
        training = [line for line, split in zip(spoken, splits, strict=True) if split == "train"]
        if parameters not in loaded:
            loaded[parameters] = extractors.build("text", parameters, training=training)
        extractor = loaded[parameters]
        keys = [(key,) for key in _keys(extractor, spoken, parameters)]
        return Extracted(vectors(extractor, spoken, cache, parameters), extractor.metadata, None, keys)
    each = [_of_encoder(utterances, parameters, cache, one, loaded) for one in finetuned.every]
    joined = np.concatenate([one.vectors for one in each], axis=1)
    version = fingerprint(*(one.metadata.version for one in each))
    made_by = Metadata(finetuned.together, joined.shape[1], finetuned.record.licence, version)
    keys = [tuple(chain(*own)) for own in zip(*(one.keys for one in each), strict=True)]
    return Extracted(joined, made_by, each[0].read, keys)


def _of_encoder(
    utterances: pd.DataFrame,
    parameters: TextParameters,
    cache: Path,
    finetuned: FineTuned,
    loaded: dict[TextParameters, Any],
) -> Extracted:
    """The vectors of one fine-tuned encoder, each by the one of its folder that makes the utterance's."""
    made: dict[str, np.ndarray] = {}
    metadata = []
    keys: list[tuple[str, ...]] = [()] * len(utterances)
    wanted, read = finetuned.settings(parameters, finetuned.folder).poolings, finetuned.record.read
    pooled = [*dict.fromkeys(name for name in (*wanted, read) if name != "log_probabilities")]
    for folder, which in finetuned.shares(utterances):
        asked = finetuned.settings(parameters, folder).model_copy(update={"pooling": tuple(pooled)})
        if asked not in loaded:
            loaded[asked] = Transformer(asked)
        extractor = loaded[asked]
        # All utterances are the context of some.
        spoken = [line for line, own in zip(lines(utterances, asked), which, strict=True) if own]
        rows = vectors(extractor, spoken, cache, asked)
        parts = dict(zip(pooled, np.split(rows, len(pooled), axis=1), strict=True))
        parts["log_probabilities"] = log_probabilities(folder, parts[read])
        for name in {*wanted, read}:
            part = parts[name]
            table = made.setdefault(name, np.zeros((len(utterances), part.shape[1]), np.float32))
            table[which] = part
        for at, key in zip(np.flatnonzero(which), _keys(extractor, spoken, asked), strict=True):
            keys[at] = (key,)
        metadata.append(extractor.metadata)
    version = fingerprint(*(one.version for one in metadata), wanted)
    joined = np.concatenate([made[name] for name in wanted], axis=1)
    made_by = Metadata(finetuned.name, joined.shape[1], finetuned.record.licence, version)
    return Extracted(joined, made_by, made[read], keys)


def lines(utterances: pd.DataFrame, parameters: TextParameters) -> list[Line]:
    """Each utterance with what is said around it, as far as the parameters ask, in the table's order."""
    table = utterances[["dialogue_id", "position", "text"]]
    table = table.assign(speaker=shown_speakers(utterances, parameters.speaker_names))
    made: dict[Any, Line] = {}
    for _, rows in table.sort_values(["dialogue_id", "position"]).groupby("dialogue_id", sort=False):
        said = list(zip(rows["speaker"], rows["text"], strict=True))
        for at, index in enumerate(rows.index):
            speaker, text = said[at]
            before = tuple(said[max(0, at - parameters.context) : at])
            made[index] = Line(text, speaker, before, tuple(said[at + 1 : at + 1 + parameters.following]))
    return [made[index] for index in table.index]


def shown_speakers(utterances: pd.DataFrame, how: bool | str) -> pd.Series:
    """What an encoder reads as each utterance's speaker: the name, a letter, or nothing.

    A letter depends on who spoke before in the dialogue, never on who speaks later.
    """
    if how is True:
        return utterances["speaker"]
    if how is False:
        return pd.Series("", utterances.index, dtype="str")
    ordered = utterances.sort_values(["dialogue_id", "position"])
    place = ordered.groupby("dialogue_id", sort=False)["speaker"].transform(lambda one: pd.factorize(one)[0])
    return place.map(lambda at: ascii_uppercase[at % 26]).reindex(utterances.index)


def vectors(extractor: Any, spoken: Sequence[Line], folder: Path, parameters: TextParameters) -> np.ndarray:
    """Vectors [len(spoken), dimension]; only what the cache in ``folder`` lacks is encoded.

    An interruption loses one batch at most.

    Raises:
        ExtractionError: the extractor fails, or its vectors are not what its metadata say.
    """
    metadata: Metadata = extractor.metadata
    keys = _keys(extractor, spoken, parameters)
    batch_size = parameters.batch_size
    with Cache(folder) as cache:
        known = cache.get(keys)
        todo = {key: line for key, line in zip(keys, spoken, strict=True) if key not in known}
        # Batches of similar length have little padding; by characters, a fourth of what is encoded would be.
        lengths = dict(zip(todo, _lengths(extractor, [*todo.values()]), strict=True))
        order = sorted(todo, key=lambda key: -lengths[key])
        if order:
            with progress_bar(len(order), f"Encoding text with {metadata.name}", "utt") as bar:
                for first in range(0, len(order), batch_size):
                    batch = order[first : first + batch_size]
                    try:
                        made = extractor([todo[key] for key in batch])
                        rows = extractors.checked(made, len(batch), metadata)
                    except Exception as error:
                        raise ExtractionError(
                            f"features.text.extractor: {metadata.name} failed on {todo[batch[0]].text!r} or "
                            f"a line of its batch ({type(error).__name__}: {error})"
                        ) from error
                    fresh = {key: Result("ok", vector=row) for key, row in zip(batch, rows, strict=True)}
                    cache.put(fresh)
                    known |= fresh
                    bar.update(len(batch))
    return matrix([known[key] for key in keys], metadata.dimension)


def _keys(extractor: Any, spoken: Sequence[Line], parameters: TextParameters) -> list[str]:
    """Under which the cache has each line's vector."""
    what = extractors.identity(extractor.metadata, parameters)
    return [fingerprint("text", what, repr(line)) for line in spoken]


def _lengths(extractor: Any, spoken: Sequence[Line]) -> list[int]:
    """How long each line is to the extractor, or in characters where it does not say."""
    if hasattr(extractor, "lengths"):
        return list(extractor.lengths(spoken))
    return [len(line.text) + sum(len(text) for _, text in (*line.before, *line.after)) for line in spoken]


class Transformer:
    """An encoder of ``transformers``: its states averaged over tokens, or at a mask, each at unit length.

    With context, speakers' names or a question, everything is one input and a mean is over the utterance's
    own tokens, so that its vector is its own; what does not fit is cut off at the far ends.
    """

    def __init__(self, parameters: TextParameters, training: Sequence[Line] = ()) -> None:
        """Loads the encoder; nothing is fitted on ``training``.

        Raises:
            ValueError: there is no such encoder, or a packaged one's weights are not the ones expected; or it
                cannot be asked.
        """
        from transformers import AutoModel, AutoTokenizer

        from erc_kedro.extractors import hub
        from erc_kedro.extractors.windows import Windows, longest

        if "log_probabilities" in parameters.poolings:
            raise ValueError("pooling: log_probabilities are those of a fine-tuned encoder's head")
        kinds = (AutoTokenizer.from_pretrained, hub.model(AutoModel))
        (tokenizer, model), digest, licence = hub.load(parameters.encoder, kinds, "features.text.encoder")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self._tokenizer, self._model = tokenizer, model
        self._parameters = parameters
        self._limit = longest(parameters.max_tokens, tokenizer, model)
        self._windows = Windows(tokenizer, self._limit, parameters)
        shown = parameters.model_dump_json(include={*WindowParameters.model_fields})
        self.metadata = Metadata(
            name=parameters.encoder,
            dimension=int(model.config.hidden_size) * len(parameters.poolings),
            licence=licence,
            version=fingerprint(digest, self._limit, shown, "unit"),
        )

    def lengths(self, signals: Sequence[Line]) -> list[int]:
        """Tokens of each signal with what is said around it."""
        around = [((line.speaker, line.text), *line.before, *line.after) for line in signals]
        count = {said: len(self._windows.tokens(*said)) for said in {*chain(*around)}}
        return [min(sum(count[said] for said in one), self._limit) for one in around]

    def __call__(self, signals: Sequence[Line]) -> np.ndarray:
        import torch

        tokens, places = self._in_context(signals) if self._parameters.own_tokens else self._plain(signals)
        tokens = {name: value.to(self._model.device) for name, value in tokens.items()}
        with torch.inference_mode():
            states = self._model(**tokens, output_hidden_states=True).hidden_states
            made = [self._pooled(name, states, places) for name in self._parameters.poolings]
            unit = [torch.nn.functional.normalize(vectors, dim=-1) for vectors in made]
            return torch.cat(unit, -1).cpu().numpy()

    def _pooled(self, name: str, states: Any, places: dict[str, Any]) -> Any:
        import torch

        from erc_kedro.extractors.windows import pooled

        if name == "cls":
            return states[-1][:, 0]
        hidden = torch.stack(states[-4:]).mean(0) if name == "last_four" else states[-1]
        return pooled(hidden, places["mask" if name == "mask" else "own"].to(hidden.device))

    def _plain(self, signals: Sequence[Line]) -> tuple[Any, dict[str, Any]]:
        import torch

        tokens = self._tokenizer(
            [line.text for line in signals],
            padding=True,
            truncation=True,
            max_length=self._limit,
            return_tensors="pt",
        )
        return tokens, {"own": torch.block_diag(*tokens["attention_mask"]).bool()}

    def _in_context(self, signals: Sequence[Line]) -> tuple[Any, dict[str, Any]]:
        from erc_kedro.extractors.windows import at_masks, own_tokens

        windows, rows = self._windows, []
        for line in signals:
            before, after = ([windows.tokens(*said) for said in side] for side in (line.before, line.after))
            own, asked = windows.tokens(line.speaker, line.text), windows.question(line.speaker)
            rows.append(windows.window(before, [own], after, [asked]))
        tokens = windows.pad(rows)
        length = tokens["input_ids"].shape[1]
        places = {"own": own_tokens(rows, length)}
        if self._parameters.asked is not None:
            places["mask"] = at_masks(rows, length)
        return tokens, places


class TfidfSvd:
    """Words and pairs of words, weighted by rarity and reduced by SVD; fitted on training utterances only."""

    def __init__(self, parameters: TextParameters, training: Sequence[Line] = ()) -> None:
        """Fits vocabulary and reduction.

        Raises:
            ValueError: the training utterances hold too few words.
        """
        import sklearn
        from sklearn.decomposition import TruncatedSVD

        texts = [_joined(line) for line in training]
        rare = 1 if len(texts) < 200 else 2
        words = _counter(min_df=rare)
        try:
            counted = words.fit_transform(texts)
        except ValueError as error:
            raise ValueError(
                f"features.text.extractor: tfidf cannot be fitted on training ({error})"
            ) from error
        dimension = max(1, min(parameters.dimension, min(counted.shape) - 1))
        reduction = TruncatedSVD(dimension, random_state=0).fit(counted)
        self._words, self._reduction = words, reduction
        self.metadata = Metadata(
            name="tfidf",
            dimension=dimension,
            licence="BSD-3-Clause (scikit-learn)",
            version=f"{sklearn.__version__} {dimension} {fingerprint(repr(texts))}",
        )

    def __call__(self, signals: Sequence[Line]) -> np.ndarray:
        counted = self._words.transform([_joined(line) for line in signals])
        return self._reduction.transform(counted).astype(np.float32)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """All that was fitted: arrays, and what can be written as JSON."""
        arrays = {"idf": self._words.idf_, "components": np.ascontiguousarray(self._reduction.components_)}
        return arrays, {"words": self._words.get_feature_names_out().tolist(), **asdict(self.metadata)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> "TfidfSvd":
        """The extractor that gave this ``state``: it makes the same vectors.

        Raises:
            ValueError: arrays and words do not fit together, or something is missing.
        """
        from sklearn.decomposition import TruncatedSVD

        try:
            idf, components, words = arrays["idf"], arrays["components"], list(facts["words"])
            metadata = Metadata(**{field.name: facts[field.name] for field in fields(Metadata)})
        except KeyError as error:
            raise ValueError(f"a tfidf's state lacks {error}") from error
        if idf.shape != (len(words),) or components.shape != (metadata.dimension, len(words)):
            raise ValueError(
                f"a tfidf of {len(words)} words and {metadata.dimension} features cannot have arrays of "
                f"shape {idf.shape} and {components.shape}"
            )
        made = cls.__new__(cls)
        made._words, made._reduction = _counter(vocabulary=words), TruncatedSVD(metadata.dimension)
        made._words.idf_, made._reduction.components_ = idf, components
        made.metadata = metadata
        return made


def _counter(**options: Any) -> Any:
    """Counts words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **options)


def _joined(line: Line) -> str:
    """A line as words; those of the context and the speaker's name are none of the utterance's own."""
    before = [f"before_{word}" for said in line.before for word in " ".join(said).split()]
    after = [f"after_{word}" for said in line.after for word in " ".join(said).split()]
    name = [f"speaker_{word}" for word in line.speaker.split()]
    return " ".join([*before, *name, line.text, *after])
