"""A study lies in a journal, a database or behind a proxy; what cannot be opened is said."""

import optuna
import pytest

from erc_kedro.config import ConfigError
from erc_kedro.tuning import study as studies
from erc_kedro.tuning.search import search
from erc_kedro.tuning.storage import JOURNAL, storage
from tests.tuning.searches import given


@pytest.mark.parametrize("place", ["sqlite:///{folder}/study.db", "grpc"])
def test_other_storage(tmp_path, place):
    if place == "grpc":
        import socket
        import threading

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        behind = storage("journal", tmp_path / "behind")
        serve = optuna.storages.run_grpc_proxy_server
        options = {"host": "127.0.0.1", "port": port}
        threading.Thread(target=serve, args=(behind,), kwargs=options, daemon=True).start()
        where = f"grpc://127.0.0.1:{port}"
    else:
        where = place.format(folder=tmp_path)
    study = search(given(tmp_path, storage=where, trials=2, seeds=1))
    assert len(studies.finished(study)) == 2
    assert search(given(tmp_path, storage=where, trials=2, seeds=1)).trials == study.trials
    assert not (tmp_path / JOURNAL).exists()


def test_storage_that_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"tune\.storage: nosuch://x cannot be opened"):
        search(given(tmp_path, storage="nosuch://x"))


def test_a_line_that_a_crash_cut_short_spoils_nothing(tmp_path):
    search(given(tmp_path, trials=1, seeds=1))
    journal = tmp_path / JOURNAL
    with journal.open("ab") as file:
        file.write(b'{"op_code":4,"wor')
    storage.cache_clear()
    study = search(given(tmp_path, trials=2, seeds=1))
    assert len(studies.finished(study)) == 2
