"""What extractors of ``fakes`` were asked for."""

import pytest

from tests.extractors import fakes


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """What the extractors were asked for since the last look."""
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.setenv(fakes.NOTES, str(folder))

    def taken():
        names = sorted(path.name.split("-")[0] for path in folder.iterdir())
        for path in folder.iterdir():
            path.unlink()
        return names

    return taken
