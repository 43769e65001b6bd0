"""A store is whole before anybody opens it, follows its project, and says what is wrong with it."""

import shutil
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.exc import SQLAlchemyError

from erc_kedro import tracking
from erc_kedro.tracking import TrackingError
from erc_kedro.tracking import store as kept


@pytest.fixture
def file(tmp_path):
    (tmp_path / "project").mkdir()
    return tmp_path / "project" / "mlflow.db"


@pytest.fixture
def built(store, monkeypatch):
    """The stores built, without the seconds that it takes."""
    made = []

    def copy(path):
        made.append(path)
        time.sleep(0.2)
        shutil.copy(store, path)

    monkeypatch.setattr(kept, "_migrate", copy)
    return made


@pytest.fixture(autouse=True)
def _no_run(monkeypatch):
    monkeypatch.delenv("ERC_KEDRO_RUN", raising=False)
    yield
    tracking.finish("FINISHED")


def uri(file):
    return f"sqlite:///{file}"


def start(file):
    return tracking.start(uri(file), "e", "root", {}, {})


def killed(file, whole, when):
    """A store as a first migration leaves it that is killed then: its steps are no transactions."""
    if when == "in the middle":
        engine = utils.create_sqlalchemy_engine(uri(file))
        Base.metadata.create_all(engine)
        config = utils._get_alembic_config(uri(file))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "7ac759974ad8")
        engine.dispose()
    else:
        shutil.copy(whole, file)
    earlier = "delete from" if when != "in the last step" else "update"
    with closing(sqlite3.connect(file)) as store, store:
        store.execute(
            f"{earlier} alembic_version" + (" set version_num = '7ac759974ad8'" * (earlier == "update"))
        )


@pytest.mark.parametrize("when", ["in the middle", "in the last step", "before it was said"])
def test_a_store_that_a_killed_migration_left_is_made_anew(file, store, built, when):
    killed(file, store, when)
    with pytest.raises((MlflowException, SQLAlchemyError)):
        SqlAlchemyStore(uri(file), "mlruns")
    assert start(file).id
    assert len(built) == 1


@pytest.mark.parametrize("content", ["nothing", "no tables", "a journal", "another's build", "a lock"])
def test_whatever_a_kill_left_goes_on(file, built, content):
    if content == "nothing":
        file.touch()
    elif content == "no tables":
        with closing(sqlite3.connect(file)) as store, store:
            store.execute("create table alembic_version (version_num text)")
    elif content == "a journal":
        file.touch()
        file.with_name("mlflow.db-journal").write_bytes(b"\0" * 512)
    elif content == "another's build":
        for end in ("", "-journal"):
            file.with_name(f"mlflow.db.new-gone{end}").write_bytes(b"half")
    else:
        file.with_name("mlflow.db.open").mkdir()
        (file.with_name("mlflow.db.open") / "gone").touch()
    assert start(file).id
    tracking.finish("FINISHED")
    assert not [*file.parent.glob("*.new-*"), *file.parent.glob("mlflow.db.open/*")]


def test_many_first_runs_at_once_build_one_store(file, built):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(kept.prepare, [uri(file)] * 8))
    assert len(built) == 1
    assert start(file).id


def test_a_store_of_another_mlflow_that_holds_runs_is_left_as_it_is(file, built):
    start(file)
    tracking.finish("FINISHED")
    with closing(sqlite3.connect(file)) as store, store:
        store.execute("update alembic_version set version_num = '451aebb31d03'")
    before = file.read_bytes()
    with pytest.raises(TrackingError, match=r"mlflow\.db: .*451aebb31d03.*`mlflow db upgrade sqlite:///"):
        kept.prepare(uri(file))
    assert file.read_bytes() == before


def test_what_is_no_store_is_said(file, built):
    file.write_text("not a database at all, by no means; " * 100)
    with pytest.raises(TrackingError, match=r"mlflow\.db: file is not a database; move the file away"):
        start(file)


def test_a_locked_store_is_said_before_anything_is_computed(file, built, monkeypatch):
    kept.prepare(uri(file))
    monkeypatch.setattr(kept, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(
            TrackingError, match=r"mlflow\.db: database is locked; another program is writing"
        ):
            start(file)


def test_a_store_that_cannot_be_written_is_said(file, built, monkeypatch):
    kept.prepare(uri(file))
    monkeypatch.setattr(
        kept, "_open", lambda file: sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=0.1)
    )
    with pytest.raises(TrackingError, match=r"readonly database; its file and folder must be writable"):
        start(file)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_server_that_is_down_is_said_in_one_sentence(hangs, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if hangs:
            server.listen()
        address = f"http://somebody:secret@127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(TrackingError) as down:
            tracking.start(address, "e", "root", {}, {})
    said = str(down.value)
    assert f"127.0.0.1:{address.rpartition(':')[2]}: " in said
    assert "start that server" in said
    assert "--params=mlflow.uri=" in said
    assert "secret" not in said
    assert "\n" not in said


def test_an_address_of_no_kind_of_store_is_said():
    with pytest.raises(
        TrackingError, match=r"foo://bar: no store that MLflow knows; write sqlite:///mlflow\.db"
    ):
        tracking.start("foo://bar", "e", "root", {}, {})


def test_a_server_keeps_artifacts_and_a_file_has_them_beside(tmp_path):
    assert kept.artifacts("http://127.0.0.1:5000", "e") is None
    assert kept.artifacts(uri(tmp_path / "mlflow.db"), "erc") == (tmp_path / "mlruns" / "erc").as_uri()


@pytest.mark.parametrize("name", ["..", "../../x", "/tmp/x", "a/b", ".", "a b", "é%2E"])
def test_an_experiment_s_artifacts_lie_in_a_folder_of_its_own(tmp_path, name):
    here = kept.local_path(kept.artifacts(uri(tmp_path / "mlflow.db"), name))
    assert here.resolve().parent == (tmp_path / "mlruns").resolve()


def test_a_relative_file_lies_in_the_project_wherever_a_run_is_started(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert kept.located("sqlite:///mlflow.db", tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    for other in ("sqlite:////a/b.db", "http://127.0.0.1:5000", "sqlite://", "postgresql://u:p@h/d"):
        assert kept.located(other, tmp_path) == other


def logged(file, name):
    """A run with a file, and where that came to lie."""
    run = start(file)
    run.text(name, f"{name}.txt")
    tracking.finish("FINISHED")
    return run.id


def text_of(file, run, name):
    return Path(kept.connect(uri(file)).download_artifacts(run, f"{name}.txt")).read_text()


@pytest.mark.parametrize("old", ["gone", "still there"])
def test_a_moved_project_keeps_its_files_where_it_is(file, tmp_path, built, old):
    first = logged(file, "first")
    new = tmp_path / "elsewhere" / "mlflow.db"
    (shutil.move if old == "gone" else shutil.copytree)(file.parent, new.parent)
    before = sorted(file.parent.rglob("*"))
    second = logged(new, "second")
    assert sorted(file.parent.rglob("*")) == before
    shutil.rmtree(file.parent, ignore_errors=True)
    assert {text_of(new, first, "first"), text_of(new, second, "second")} == {"first", "second"}
    assert len(list((new.parent / "mlruns").rglob("*.txt"))) == 2


def test_artifacts_that_did_not_move_with_the_store_are_found_where_they_are(file, tmp_path, built):
    first = logged(file, "first")
    new = tmp_path / "elsewhere" / "mlflow.db"
    new.parent.mkdir()
    shutil.copy(file, new)
    second = logged(new, "second")
    assert text_of(new, first, "first") == "first"
    assert [p.name for p in (new.parent / "mlruns").rglob("*.txt")] == ["second.txt"]
    assert text_of(new, second, "second") == "second"


def test_a_place_that_somebody_chose_is_kept(file, tmp_path, built):
    kept.prepare(uri(file))
    kept.connect(uri(file)).create_experiment("e", (tmp_path / "chosen").as_uri())
    logged(file, "first")
    kept.prepare(uri(file))
    assert len(list((tmp_path / "chosen").rglob("first.txt"))) == 1
