"""CTranslate2's files are read as they were written, and hostile ones are refused."""

import struct
import tracemalloc

import numpy as np
import pytest

from erc_kedro.extractors.audio import ctranslate2, whisper
from tests.extractors.audio.whispers import file_of, string


def test_ctranslate2_s_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "model.bin"
    values = {
        "encoder/a": np.arange(6, dtype=np.float16).reshape(2, 3),
        "encoder/b": np.array(-7, np.int16),
        "encoder/c": np.arange(3, dtype=np.int8),
        "decoder/d": np.ones(4, np.float32),
        "encoder/e": np.arange(2, dtype=np.int32),
    }
    path.write_bytes(file_of(values, aliases=[("encoder/f", "decoder/d")]))
    read = ctranslate2.read(path, "WhisperSpec", "encoder/")
    assert list(read) == ["encoder/a", "encoder/b", "encoder/c", "encoder/e", "encoder/f"]
    for name, found in read.items():
        wanted = values["decoder/d" if name == "encoder/f" else name]
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_many_names_of_one_array_take_the_memory_of_one(tmp_path):
    path = tmp_path / "model.bin"
    aliases = [(f"encoder/{number}", "encoder/a") for number in range(200)]
    path.write_bytes(file_of({"encoder/a": np.ones(50_000, np.float32)}, aliases=aliases))
    tracemalloc.start()
    read = ctranslate2.read(path, "WhisperSpec", "encoder/")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(read) == 201
    assert most < 3 * path.stat().st_size


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    whole = file_of({"encoder/a": np.ones((2, 3), np.float32)}, aliases=[("encoder/b", "encoder/a")])
    path = tmp_path / "model.bin"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"model\.bin is cut off"):
            ctranslate2.read(path, "WhisperSpec", "encoder/")
    path.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="goes on for 1 bytes"):
        ctranslate2.read(path, "WhisperSpec", "encoder/")


def claiming(shape, kind, count):
    """A file whose only variable has no more than four bytes."""
    head = struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<II", 3, 1) + string("encoder/a")
    sizes = struct.pack("<B", len(shape)) + struct.pack(f"<{len(shape)}I", *shape)
    return head + sizes + struct.pack("<BI", kind, count) + b"abcd" + struct.pack("<I", 0)


HOSTILE = {
    "another layout": (file_of({}, version=5), "layout 6; it says 5"),
    "another model": (file_of({}, spec="TransformerSpec"), "holds a 'TransformerSpec'"),
    "a pickle": (b"\x80\x04\x95" + b"a" * 100, "no model in CTranslate2's layout"),
    "4 GB promised": (claiming((2**30,), 0, 2**32 - 1), "cut off"),
    "4 G variables": (struct.pack("<I", 6) + string("WhisperSpec") + b"\xff" * 8, "cut off"),
    "sizes that overflow": (claiming((2**32 - 1,) * 255, 0, 4), "cannot have 4 bytes"),
    "a size of nothing": (claiming((2**32 - 1, 0), 0, 0), "cannot have 0 bytes"),
    "other sizes": (claiming((2,), 0, 4), "cannot have 4 bytes"),
    "an unknown type": (claiming((4,), 9, 4), "type 9"),
    "an alias of nothing": (file_of({}, aliases=[("encoder/a", "x")]), "stands for 'x'"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_with_a_sentence(kind, tmp_path):
    content, message = HOSTILE[kind]
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"model\.bin.*{message}"):
        whisper.Encoder(tmp_path / "model.bin")
