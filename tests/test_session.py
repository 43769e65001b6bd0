"""Runs work where the project is, one after another in a process, and end in a sentence."""

import os
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from kedro.framework import project
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro_datasets.json import JSONDataset

from erc_kedro import tracking
from erc_kedro.config import ConfigError, ErcConfigLoader
from erc_kedro.errors import PlainError
from erc_kedro.files import LOCKS
from erc_kedro.hooks import LockHooks
from erc_kedro.session import ProjectSession
from erc_kedro.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs in a session of this project, from another folder, with what Kedro's own run does replaced."""
    bootstrap_project(ROOT)
    monkeypatch.chdir(tmp_path)

    def with_own(kedro_run, **asked):
        monkeypatch.setattr(KedroSession, "run", kedro_run)
        with ProjectSession.create(ROOT) as session:
            return session.run(**asked)

    yield with_own
    ErcConfigLoader(str(ROOT / "conf"), **CONFIG_LOADER_ARGS)


def test_a_run_works_where_the_project_is_and_leaves_the_caller_where_it_was(run, tmp_path):
    assert run(lambda session, **asked: Path.cwd()) == ROOT
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_run_ends_in_mlflow_while_its_store_can_be_found(run, monkeypatch, tmp_path, ends):
    ended = []
    monkeypatch.setattr(tracking, "finish", lambda status: ended.append((status, Path.cwd())))

    def interrupted(session, **asked):
        raise ends

    with pytest.raises(ends):
        run(interrupted)
    assert ended == [("KILLED", ROOT)]
    assert Path.cwd() == tmp_path


def _nothing():
    return {}


@pytest.mark.parametrize("ends", [KeyboardInterrupt, SystemExit, PlainError("refused by a later hook")])
def test_however_a_run_ends_its_outputs_are_free(run, tmp_path, ends):
    """A notebook whose run was stopped kept every other run waiting for as long as it was open."""
    table = JSONDataset(filepath=str(tmp_path / "table.json"))

    def stopped(session, **asked):
        for hooks in session._hook_manager.get_plugins():
            if isinstance(hooks, LockHooks):
                hooks.before_pipeline_run(
                    pipeline=Pipeline([node(_nothing, None, "table")]),
                    catalog=DataCatalog({"table": table}),
                )
        with pytest.raises(Timeout):
            FileLock(tmp_path / LOCKS / "table.json", timeout=0).acquire()
        raise ends

    with pytest.raises(ends if isinstance(ends, type) else PlainError):
        run(stopped)
    FileLock(tmp_path / LOCKS / "table.json", timeout=0).acquire().lock.release()


def test_a_second_session_has_the_pipelines_of_its_own_corpora(run, tmp_path):
    (tmp_path / "conf/base").mkdir(parents=True)
    (tmp_path / "conf/base/globals.yml").write_text("corpora: [mine]\n", "utf-8")

    def namespaces(conf):
        def of_conf(session, **asked):
            ErcConfigLoader(str(conf), **CONFIG_LOADER_ARGS)
            return {node.namespace for node in project.pipelines["train"].nodes}

        return of_conf

    assert run(namespaces(ROOT / "conf")) == {"meld", "iemocap"}
    (tmp_path / "conf/local").mkdir()
    assert run(namespaces(tmp_path / "conf")) == {"mine"}
    assert run(namespaces(ROOT / "conf")) == {"meld", "iemocap"}


def test_a_pipeline_that_is_not_there_is_named_beside_those_that_are(run):
    with pytest.raises(ConfigError, match=r"'trian'; there are .*reporting, score, train, transfer, tune"):
        run(None, pipeline_names=["ingestion", "trian"])


def test_a_corpus_that_is_not_there_is_named_beside_those_that_are(run):
    def loading(session, **asked):
        session.load_context()

    run(loading, namespaces=["meld"])
    for names in (["xyz"], ["meld", "xyz.train"]):
        with pytest.raises(
            ConfigError, match=r"--namespaces: no corpus is called 'xyz.*'; there are meld, iemocap"
        ):
            run(loading, namespaces=names)


def test_a_name_that_kedro_refuses_is_a_sentence(run):
    def unknown(session, **asked):
        project.pipelines["train"].only_nodes("meld.trian")

    with pytest.raises(PlainError, match=r"does not contain nodes named \['meld.trian'\]"):
        run(unknown)


def test_what_the_surroundings_end_is_a_sentence_and_what_the_code_ends_is_not(run):
    def full(session, **asked):
        raise OSError(28, os.strerror(28), "data/page.html")

    with pytest.raises(PlainError, match=r"no space is left on the disk of data/page\.html"):
        run(full)

    def wrong(session, **asked):
        raise ValueError("axis 3 is out of bounds")

    with pytest.raises(ValueError, match="axis 3") as raised:
        run(wrong)
    assert not isinstance(raised.value, PlainError)
