"""What is kept can be forgotten, and is gone then."""

import sqlite3

import numpy as np
import pytest

from erc_kedro.extractors.cache import Cache, Result

MARKED = np.arange(1000, 1100, dtype=np.float32)


def digest(store, path):
    [(_, found)] = store.digests({path: path.stat()}, 1)
    return found


def on_disk(folder):
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.fixture
def media(tmp_path):
    """Two files, the second of which is there twice."""
    made = [tmp_path / name for name in ("a.wav", "b.wav", "copy of b.wav")]
    for path, content in zip(made, (b"one", b"two", b"two"), strict=True):
        path.write_bytes(content)
    return made


def test_a_file_is_forgotten_with_all_that_came_from_it_and_nothing_else(tmp_path, media):
    one, two, copy = media
    with Cache(tmp_path / "cache") as store:
        for path in media:
            store.put(
                {f"{path.name} {n}": Result("ok", vector=MARKED + n) for n in range(3)}, digest(store, path)
            )
        store.put({"a line": Result("ok", vector=MARKED), "another": Result("ok", vector=MARKED)})
        assert store.forget([copy], ["a line", "no such line"]) == 7
        assert set(
            store.get([*(f"{path.name} {n}" for path in media for n in range(3)), "a line", "another"])
        ) == {
            *(f"a.wav {n}" for n in range(3)),
            "another",
        }
        assert store.forget([copy, two], ["a line"]) == 0
    kept = (
        sqlite3.connect(tmp_path / "cache" / "features.sqlite").execute("SELECT path FROM files").fetchall()
    )
    assert kept == [(str(one),)]


def test_what_a_name_held_before_is_forgotten_too_though_the_file_is_gone(tmp_path, media):
    path = media[0]
    with Cache(tmp_path / "cache") as store:
        store.put({"before": Result("ok", vector=MARKED)}, digest(store, path))
        path.write_bytes(b"recorded anew")
        store.put({"after": Result("silent")}, digest(store, path))
        path.unlink()
        assert store.forget([path]) == 2
        assert not store.get(["before", "after"])


def test_nothing_of_what_was_forgotten_is_left_on_the_disk(tmp_path, media):
    folder = tmp_path / "cache"
    with Cache(folder) as store:
        others = {f"other {n}": Result("ok", vector=np.full(100, n, np.float32)) for n in range(500)}
        store.put(others, digest(store, media[1]))
        store.put({"kept": Result("ok", "something told", MARKED)}, digest(store, media[0]))
        assert MARKED.tobytes() in on_disk(folder)
        store.forget([media[0]])
        left = on_disk(folder)
        assert MARKED.tobytes()[:64] not in left
        assert b"something told" not in left
        assert str(media[0]).encode() not in left
        assert len(store.get(others)) == 500


def test_a_store_from_before_opens_and_goes_on(tmp_path, media):
    folder = tmp_path / "cache"
    folder.mkdir()
    with sqlite3.connect(folder / "features.sqlite") as old:
        old.executescript(
            "CREATE TABLE results (key TEXT PRIMARY KEY, reason TEXT, detail TEXT, facts TEXT, vector BLOB);"
            "CREATE TABLE files (path TEXT PRIMARY KEY, status TEXT, digest TEXT);"
        )
        old.execute("INSERT INTO results VALUES ('old', 'ok', '', '{}', ?)", [MARKED.tobytes()])
    for _ in range(2):
        with Cache(folder) as store:
            np.testing.assert_array_equal(store.get(["old"])["old"].vector, MARKED)
            store.put({"new": Result("ok", vector=MARKED)}, digest(store, media[0]))
    with Cache(folder) as store:
        assert store.forget([media[0]]) == 1
        assert store.forget(keys=["old"]) == 1
