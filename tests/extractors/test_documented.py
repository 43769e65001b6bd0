"""The extractor that docs/features.md shows works as it stands there."""

import re
import sys
from pathlib import Path

import pytest

from erc_kedro.extractors import runner
from tests.defaults import AudioParameters, RunnerParameters
from tests.extractors import clips
from tests.extractors.extraction import table, vectors

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


def test_the_example_is_short_and_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    [code] = [block for block in blocks if "class Pitch" in block]
    assert len(code.splitlines()) < 40
    (tmp_path / "my_extractors.py").write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_extractors", raising=False)
    sounds = [clips.wav(tmp_path / f"{hertz}.wav", clips.voice(0.5, pitch=hertz)) for hertz in (110, 220)]
    settings = runner.Settings(
        AudioParameters(extractor="my_extractors:Pitch"), None, RunnerParameters(n_jobs=1)
    )
    found = runner.extract(table(wav=sounds), settings, tmp_path / "cache")
    low, high = vectors(found)
    assert low[0] == pytest.approx(12, abs=0.5)
    assert high[0] == pytest.approx(24, abs=0.5)
