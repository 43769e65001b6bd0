"""From clips to vectors, and what is kept: nothing twice, nothing lost, nothing that stops a corpus."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from tqdm import tqdm

from erc_kedro import processes
from erc_kedro.extractors import cache, jobs, media, runner, worker
from erc_kedro.extractors.base import ExtractionError, fingerprint
from tests.defaults import AudioParameters, RunnerParameters
from tests.extractors import clips, fakes
from tests.extractors.extraction import HERE, settings, table, vectors


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Six sounds, each louder than the last."""
    folder = tmp_path_factory.mktemp("sounds")
    return [clips.wav(folder / f"{n}.wav", (0.2 + 0.4 * n) * clips.voice(0.3)) for n in range(6)]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_are_in_the_table_s_order_whatever_the_number_of_workers(sounds, tmp_path, n_jobs):
    found = runner.extract(table(wav=sounds), settings(n_jobs=n_jobs), tmp_path)
    peaks = [vector[0] for vector in vectors(found)]
    assert peaks == sorted(peaks)
    assert found["audio"][0].dimension == 3
    assert all(result.facts["seconds"] == pytest.approx(0.3) for result in found["audio"][1])


def test_a_second_run_extracts_nothing_and_a_third_only_what_is_new(sounds, tmp_path, notes):
    options = settings(n_jobs=1)
    first = runner.extract(table(wav=sounds[:4]), options, tmp_path)
    assert notes() == ["audio"] * 4
    assert vectors(runner.extract(table(wav=sounds[:4]), options, tmp_path)) == vectors(first)
    assert notes() == []
    runner.extract(table(wav=sounds), options, tmp_path)
    assert notes() == ["audio"] * 2


def test_what_is_kept_goes_by_content_and_settings_not_by_name(sounds, tmp_path, notes):
    options = settings(n_jobs=1)
    runner.extract(table(wav=[sounds[0]]), options, tmp_path / "cache")
    notes()
    moved = tmp_path / "another name.wav"
    moved.write_bytes(sounds[0].read_bytes())
    runner.extract(table(wav=[moved]), options, tmp_path / "cache")
    assert notes() == []
    # Other settings of the extractor.
    other = runner.Settings(
        AudioParameters(extractor=f"{HERE}:Loudness", layers="last"), None, RunnerParameters(n_jobs=1)
    )
    runner.extract(table(wav=[moved]), other, tmp_path / "cache")
    assert notes() == ["audio"]
    # Other content of the same length under the same name and time.
    was = moved.stat()
    moved.write_bytes(clips.wav(tmp_path / "x.wav", 0.9 * clips.voice(0.3, pitch=200)).read_bytes())
    os.utime(moved, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert moved.stat().st_size == was.st_size
    runner.extract(table(wav=[moved]), options, tmp_path / "cache")
    assert notes() == ["audio"]


def test_one_decoding_serves_voice_and_face_and_every_span_of_a_file(tmp_path, monkeypatch, notes):
    path = clips.clip(tmp_path / "a.mp4", 3.0, video_codec="libx264")
    opened = []
    play = media.play

    def spy(path, spans, *rest):
        opened.append((path, len(spans)))
        return play(path, spans, *rest)

    monkeypatch.setattr(media, "play", spy)
    options = settings("Loudness", "Gray", n_jobs=1)
    spans = table(clip=[path] * 3, start=[0.0, 0.5, 2.0], end=[1.0, 1.5, 3.0])
    found = runner.extract(spans, options, tmp_path / "cache")
    assert opened == [(path, 3)]
    assert [r.reason for r in found["audio"][1] + found["visual"][1]] == ["ok"] * 6
    # The face wanders to the right.
    places = [vector[2] for vector in vectors(found, "visual")]
    assert places == sorted(places)
    assert notes() == ["audio"] * 3 + ["visual"] * 3
    # Another voice is asked for: the face is not looked at again.
    runner.extract(
        spans,
        runner.Settings(
            AudioParameters(extractor=f"{HERE}:Loudness", layers="last"), options.visual, options.runner
        ),
        tmp_path / "cache",
    )
    assert notes() == ["audio"] * 3


def test_the_voice_comes_from_the_wav_and_the_face_from_the_speaker_s_half(tmp_path):
    frames = [clips.scene((320, 240), (170 + n, 60)) for n in range(24)]
    video = clips.write(tmp_path / "two.avi", frames, 0.3 * clips.voice(2.0), audio_codec="pcm_s16le")
    own = clips.wav(tmp_path / "own.wav", 2 * clips.voice(0.5))
    both = table(clip=[video] * 2, wav=[own, None], start=[0.0] * 2, end=[2.0] * 2, side=["left", "right"])
    found = runner.extract(both, settings("Loudness", "Gray", n_jobs=1), tmp_path / "cache")
    assert [vector[2] for vector in vectors(found)] == pytest.approx([0.5, 2.0], abs=0.01)
    assert [result.reason for result in found["visual"][1]] == ["no_face", "ok"]
    assert found["visual"][1][0].facts["frames"] == 6


def test_one_file_may_be_named_for_the_voice_and_for_the_face(tmp_path):
    clip = clips.clip(tmp_path / "both.mp4")
    options = settings("Loudness", "Gray", n_jobs=1)
    spans = {"start": [0.0, 0.7], "end": [0.7, 1.4]}
    found = runner.extract(table(clip=[clip] * 2, wav=[clip] * 2, **spans), options, tmp_path / "cache")
    apart = runner.extract(table(clip=[clip] * 2, **spans), options, tmp_path / "other")
    assert [result.reason for result in found["audio"][1]] == ["ok", "ok"]
    reasons = [[result.reason for result in made["visual"][1]] for made in (found, apart)]
    assert reasons[0] == reasons[1]


def test_nothing_that_is_broken_stops_the_others(sounds, tmp_path, notes):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "garbage.wav").write_bytes(np.random.default_rng(0).bytes(9999))
    silent = clips.wav(tmp_path / "silent.wav", np.zeros(8000))
    bad = [None, tmp_path / "gone.wav", tmp_path / "empty.wav", tmp_path / "garbage.wav", silent]
    found = runner.extract(table(wav=[sounds[0], *bad, sounds[1]]), settings(n_jobs=2), tmp_path / "cache")
    results = found["audio"][1]
    assert [r.reason for r in results] == [
        "ok",
        "no_media",
        "no_media",
        "unreadable",
        "unreadable",
        "silent",
        "ok",
    ]
    assert all(r.detail for r in results[1:-1])
    assert all(r.vector is None for r in results[1:-1])


def test_an_extractor_s_errors_cost_their_utterance_and_are_tried_again(tmp_path, notes):
    quiet, right, loud = (
        clips.wav(tmp_path / f"{gain}.wav", gain * clips.voice(0.3)) for gain in (0.1, 1, 30)
    )
    for _ in range(2):
        found = runner.extract(
            table(wav=[quiet, right, loud]), settings("Faulty", n_jobs=1), tmp_path / "cache"
        )
        results = found["audio"][1]
        assert [r.reason for r in results] == ["failed", "ok", "failed"]
        assert "not finite" in results[0].detail
        assert "RuntimeError: too loud for me" in results[2].detail
    # The quiet one both times, the right one once; the loud one never came so far.
    assert notes() == ["audio"] * 3


def test_a_file_that_kills_its_worker_is_named_and_the_rest_is_done(sounds, tmp_path):
    deadly = clips.wav(tmp_path / "deadly.wav", 50 * clips.voice(0.3))
    found = runner.extract(
        table(wav=[*sounds[:2], deadly, sounds[2]]), settings("Deadly", n_jobs=2), tmp_path / "cache"
    )
    results = found["audio"][1]
    assert [r.reason for r in results] == ["ok", "ok", "unreadable", "ok"]
    assert "died" in results[2].detail


def test_an_interruption_does_not_wait_for_a_file_that_is_read_apart(tmp_path, monkeypatch):
    """After a worker died, files are read one by one; a kill waited for the whole of one."""
    begun, over = tmp_path / "begun", tmp_path / "over"

    def slow(*job):
        begun.touch()
        time.sleep(10)
        over.touch()

    def interrupt():
        while not begun.exists():
            time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    monkeypatch.setattr(runner, "_numbered", slow)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        runner._alone(None, None, None)
    assert begun.exists()
    assert not over.exists()


def test_a_file_that_changes_while_it_is_read_is_not_kept(sounds, tmp_path, monkeypatch, notes):
    path = clips.wav(tmp_path / "growing.wav", clips.voice(0.3))
    play = media.play

    def meanwhile(*arguments):
        yield from play(*arguments)
        path.write_bytes(sounds[1].read_bytes())

    monkeypatch.setattr(media, "play", meanwhile)
    options = settings(n_jobs=1)
    [result] = runner.extract(table(wav=[path]), options, tmp_path / "cache")["audio"][1]
    assert (result.reason, result.vector) == ("unreadable", None)
    assert "changed while it was read" in result.detail
    monkeypatch.setattr(media, "play", play)
    found = runner.extract(table(wav=[path]), options, tmp_path / "cache")
    assert vectors(found) == vectors(runner.extract(table(wav=[sounds[1]]), options, tmp_path / "cache"))


def test_a_full_disk_is_named_and_what_was_done_is_kept(sounds, tmp_path, monkeypatch, notes):
    options = settings(n_jobs=1)
    put = cache.Cache.put
    done = []

    def full(self, results, digest=None):
        if len(done) == 2:
            # What SQLite itself says when it may not grow.
            self._store.execute("PRAGMA max_page_count=1")
            results = {key: cache.Result("ok", "x" * 100_000) for key in results}
        put(self, results, digest)
        done.append(results)

    monkeypatch.setattr(cache.Cache, "put", full)
    with pytest.raises(ExtractionError, match=r"features.sqlite.*full.*run again"):
        runner.extract(table(wav=sounds), options, tmp_path)
    monkeypatch.setattr(cache.Cache, "put", put)
    notes()
    found = runner.extract(table(wav=sounds), options, tmp_path)
    assert notes() == ["audio"] * 4
    assert [r.reason for r in found["audio"][1]] == ["ok"] * 6


def test_a_broken_cache_is_named(tmp_path, sounds):
    (tmp_path / "features.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(ExtractionError, match=r"features\.sqlite"):
        runner.extract(table(wav=sounds), settings(n_jobs=1), tmp_path)


SCRIPT = """
import signal, sys
from pathlib import Path
# A shell's background jobs are started deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from tests.extractors.extraction import settings, table
from erc_kedro.extractors import runner
runner.extract(table(wav=[Path(p) for p in sys.argv[2:]]), settings("Slow", n_jobs=2), Path(sys.argv[1]))
print("done")
"""


def alive(session: int) -> bool:
    """Whether a process of the session is still there (on Linux; elsewhere nobody looks)."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the command's name in brackets: state, parent, group, session.
            state, _, _, of = status.read_text().rsplit(")", 1)[1].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            return True
    return False


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_an_end_halfway_loses_only_what_was_in_flight(tmp_path, signal_number):
    files = [clips.wav(tmp_path / f"{n}.wav", (1 + n / 50) * clips.voice(0.2)) for n in range(24)]
    words = [sys.executable, "-c", SCRIPT, str(tmp_path / "cache"), *map(str, files)]
    store = tmp_path / "cache" / "features.sqlite"

    def kept():
        if not store.exists():
            return 0
        try:
            with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as reader:
                return reader.execute("SELECT count(*) FROM results").fetchone()[0]
        except sqlite3.OperationalError:
            return 0

    process = subprocess.Popen(
        words, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL, start_new_session=True
    )
    until = time.monotonic() + 60
    while kept() < 5:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal_number)
    process.wait(timeout=30)
    assert process.returncode != 0
    before = kept()
    assert 5 <= before < 24
    finished = subprocess.run(
        words, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=120
    )
    assert finished.stdout == "done\n"
    assert f"{24 - before}/{24 - before}" in finished.stderr
    assert kept() == 24
    # Nobody is left behind, even of the one that could not say good-bye.
    until = time.monotonic() + 20
    while alive(process.pid):
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_dask_cluster_does_the_same_work(sounds, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        options = settings(backend="dask", address=cluster.scheduler_address)
        remote = runner.extract(table(wav=sounds), options, tmp_path / "a")
    assert vectors(remote) == vectors(runner.extract(table(wav=sounds), settings(n_jobs=1), tmp_path / "b"))


def test_a_cluster_that_does_not_answer_is_named(sounds, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(processes, "ANSWER_S", 0.5)
    options = settings(backend="dask", address="tcp://127.0.0.1:1")
    with pytest.raises(ExtractionError, match=r"runner\.address"):
        runner.extract(table(wav=sounds), options, tmp_path)


@pytest.fixture
def played(monkeypatch):
    """How many utterances each playing of a file was for."""
    counts = []
    play = media.play
    monkeypatch.setattr(
        media, "play", lambda path, spans, *rest: counts.append(len(spans)) or play(path, spans, *rest)
    )
    return counts


@pytest.mark.parametrize(
    ("workers", "recordings", "times"), [(1, 1, 1), (2, 1, 2), (4, 4, 1), (4, 2, 2), (3, 2, 2), (99, 1, 8)]
)
def test_a_long_recording_is_shared_out_only_while_workers_would_be_idle(
    tmp_path, workers, recordings, times
):
    names = [clips.wav(tmp_path / f"{n}.wav", (1 + n) * clips.voice(0.2)) for n in range(recordings)]
    starts = [60.0 * n for n in range(120)]
    utterances = table(
        clip=np.repeat(names, 120).tolist(),
        start=starts * recordings,
        end=[start + 5 for start in starts] * recordings,
    )
    with cache.Cache(tmp_path / "cache") as kept:
        todo, _, _ = jobs.jobs(utterances, settings(), {"audio": "1"}, workers, kept)
    assert len(todo) == times * recordings
    assert sorted(r.row for job in todo for r in job.requests) == [*range(120 * recordings)]
    # Each part is a stretch of its own, about as long as the others.
    assert {len(job.requests) for job in todo} == {120 // times}
    assert all(np.ptp([r.row for r in job.requests]) == 120 // times - 1 for job in todo)


def test_a_recording_of_minutes_is_not_shared_out(tmp_path):
    path = clips.wav(tmp_path / "a.wav", clips.voice(0.2))
    utterances = table(
        clip=[path] * 9, start=[60.0 * n for n in range(9)], end=[60.0 * n + 5 for n in range(9)]
    )
    with cache.Cache(tmp_path / "cache") as kept:
        assert len(jobs.jobs(utterances, settings(), {"audio": "1"}, 8, kept)[0]) == 1


def test_a_recording_that_is_interrupted_goes_on_where_it_was(tmp_path, monkeypatch, notes, played):
    path = clips.wav(tmp_path / "a.wav", clips.voice(4.0))
    starts = [n / 10 for n in range(30)]
    spans = table(clip=[path] * 30, start=starts, end=[start + 0.2 for start in starts])
    monkeypatch.setattr(worker, "KEEP_S", 0.0)
    call = fakes.Loudness.__call__
    calls = []

    def stopped(self, signals):
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return call(self, signals)

    monkeypatch.setattr(fakes.Loudness, "__call__", stopped)
    with pytest.raises(KeyboardInterrupt):
        runner.extract(spans, settings(n_jobs=1), tmp_path / "cache")
    assert notes() == ["audio"] * 19
    found = runner.extract(spans, settings(n_jobs=1), tmp_path / "cache")
    assert notes() == ["audio"] * 11
    assert played == [30, 11]
    assert [r.reason for r in found["audio"][1]] == ["ok"] * 30


def test_what_a_process_had_kept_when_it_died_is_not_lost(tmp_path):
    path = clips.wav(tmp_path / "a.wav", clips.voice(1.0))
    spans = table(clip=[path] * 2, start=[0.0, 0.5], end=[0.4, 0.9])
    with cache.Cache(tmp_path / "cache") as kept:
        [job], _, _ = jobs.jobs(spans, settings(), {"audio": "1"}, 1, kept)
        job.keep({(0, "audio"): cache.Result("ok", vector=np.ones(3))}, kept)
        lost = runner._lost(job, kept)
    assert [lost[row, "audio"].reason for row in (0, 1)] == ["ok", "unreadable"]
    assert "died" in lost[1, "audio"].detail


def test_a_recording_that_takes_minutes_shows_how_far_it_has_come(tmp_path, monkeypatch):
    path = clips.wav(tmp_path / "a.wav", clips.voice(1.0))
    spans = table(clip=[path] * 3, start=[0.0, 0.3, 0.6], end=[0.2, 0.5, 0.8])
    monkeypatch.setattr(runner, "LOOK_S", 0.01)
    with (
        cache.Cache(tmp_path / "cache") as kept,
        tqdm(total=3, disable=False) as bar,
    ):
        [job], _, _ = jobs.jobs(spans, settings(), {"audio": "1"}, 1, kept)
        left = {0: job}
        with runner._looked_up(bar, left, 3, settings().runner, tmp_path / "cache"):
            for row in range(2):
                job.keep({(row, "audio"): cache.Result("silent")}, kept)
                until = time.monotonic() + 20
                while bar.n <= row:
                    assert time.monotonic() < until
                    time.sleep(0.01)
                assert bar.n == row + 1
            del left[0]
        assert bar.n == 3


def test_a_speaker_s_own_channel_is_heard_alone_and_never_the_mix(tmp_path):
    left, right = 0.3 * clips.voice(1.0), 0.9 * clips.voice(1.0, pitch=210)
    call = clips.wav(tmp_path / "call.wav", np.stack([left, right], 1), channels=2)
    mono = clips.wav(tmp_path / "mono.wav", left)
    alone = [clips.wav(tmp_path / f"{n}.wav", sound) for n, sound in enumerate((left, right))]
    utterances = table(
        clip=[call, call, call, mono, *alone], channel=["left", "right", None, "left", None, None]
    )
    found = runner.extract(utterances, settings(n_jobs=1), tmp_path / "cache")
    results = found["audio"][1]
    assert [r.reason for r in results] == ["ok", "ok", "ok", "no_channel", "ok", "ok"]
    assert results[3].detail == "of two channels the left one is wanted, and the sound has 1"
    own, other, mix, _, *apart = vectors(found)
    assert [own, other] == apart
    assert mix not in apart
    assert len({result.key for result in results}) == 6


def test_keys_of_corpora_are_what_they_were(tmp_path):
    """With another key, all that was ever extracted would be extracted again."""
    path = clips.wav(tmp_path / "a.wav", clips.voice(0.3))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    utterances = table(clip=[path], start=[0.0], end=[0.2], side=["left"])
    decoding = f"{media.VERSION} PyAV {av.__version__}"
    for given in (utterances, utterances.assign(channel=None, shared_frame=True)):
        with cache.Cache(tmp_path / "cache") as kept:
            _, _, keys = jobs.jobs(
                given, settings("Loudness", "Gray"), {"audio": "A", "visual": "V"}, 1, kept
            )
        assert keys == {
            (0, "audio"): fingerprint(digest, "audio", "0.0 0.2 None 60.0", decoding, "A"),
            (0, "visual"): fingerprint(digest, "visual", "0.0 0.2 left 60.0", decoding, "V"),
        }


@pytest.mark.parametrize(
    ("where", "name", "value"), [(media, "VERSION", media.VERSION + 1), (av, "__version__", "0.1")]
)
def test_another_decoding_is_another_key(sounds, tmp_path, monkeypatch, notes, where, name, value):
    runner.extract(table(wav=sounds[:1]), settings(n_jobs=1), tmp_path / "cache")
    notes()
    monkeypatch.setattr(where, name, value)
    runner.extract(table(wav=sounds[:1]), settings(n_jobs=1), tmp_path / "cache")
    assert notes() == ["audio"]


def test_what_a_sound_was_taken_from_is_said_now_and_from_the_cache(tmp_path):
    voice = clips.voice(0.5)
    path = clips.wav(tmp_path / "opposite.wav", np.stack([voice, -voice], 1), channels=2)
    for _ in range(2):
        [result] = runner.extract(table(wav=[path]), settings(n_jobs=1), tmp_path / "cache")["audio"][1]
        assert (result.reason, result.detail[:32]) == ("ok", "channel 1 of 2 alone: the channe")
        assert result.vector[0] > 0.2


def test_an_extractor_that_is_not_there_is_named(sounds, tmp_path):
    for name in ("no_such_package:Thing", f"{HERE}:NoSuchClass"):
        wanted = runner.Settings(AudioParameters(extractor=name), None, RunnerParameters(n_jobs=1))
        with pytest.raises(ExtractionError, match=rf"features\.audio\.extractor: {name} cannot be imported"):
            runner.extract(table(wav=sounds), wanted, tmp_path)


def test_two_extractors_of_one_version_do_not_share_vectors(sounds, tmp_path):
    runner.extract(table(wav=sounds[:1]), settings("Loudness", n_jobs=1), tmp_path)
    found = runner.extract(table(wav=sounds[:1]), settings("Other", n_jobs=1), tmp_path)
    assert vectors(found) == [[1.0, 2.0, 3.0]]


def test_vectors_of_another_width_than_declared_are_an_error_and_not_kept(sounds, tmp_path):
    for _ in range(2):
        [result] = runner.extract(table(wav=sounds[:1]), settings("Narrow", n_jobs=1), tmp_path)["audio"][1]
        assert result.reason == "failed"
        assert "(1, 2) where (1, 3) was declared" in result.detail


@pytest.mark.parametrize(
    ("name", "why"), [("WithoutMetadata", "has no `metadata`"), ("Stubborn", "takes no arguments")]
)
def test_a_class_that_is_no_extractor_is_named(sounds, tmp_path, name, why):
    with pytest.raises(ExtractionError, match=rf"features\.audio\.extractor: .*{why}"):
        runner.extract(table(wav=sounds), settings(name, n_jobs=1), tmp_path)


def test_an_extractor_is_loaded_once_whoever_works_beside_it():
    alone = worker.tools(settings(n_jobs=1))
    shared = worker.tools(settings(n_jobs=2, longest_s=5.0))
    assert alone.extractors["audio"] is shared.extractors["audio"]
    assert alone.versions == shared.versions
