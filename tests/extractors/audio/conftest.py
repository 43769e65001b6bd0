"""A tiny random Whisper, and a stand-in for the package that carries one."""

import hashlib
import sys

import pytest
import torch

from erc_kedro.extractors import hub
from erc_kedro.extractors.audio import whisper
from tests.extractors.audio.whispers import LAYERS, POSITIONS, WIDTH, converted, file_of


@pytest.fixture(scope="module")
def model():
    """With biases and positions that are not zero, so that a lost one shows."""
    from transformers import WhisperConfig, WhisperModel

    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=20,
        num_mel_bins=80,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        encoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=24,
        max_source_positions=POSITIONS,
        max_target_positions=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    model = WhisperModel(config).eval()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    where = tmp_path_factory.mktemp("whisper")
    model.save_pretrained(where)
    return where


@pytest.fixture
def package(model, tmp_path, monkeypatch):
    """A stand-in for the package that carries the default's weights; returns its ``model.bin``."""
    inside = tmp_path / "tiny_whisper_weights"
    inside.mkdir()
    (inside / "__init__.py").write_text(
        "from pathlib import Path\n\ndef get_model_path():\n    return Path(__file__).parent\n"
    )
    path = inside / "model.bin"
    path.write_bytes(file_of(converted(model, "float16")))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    packaged = hub.Packaged("tiny_whisper_weights", "model.bin", digest, "MIT")
    monkeypatch.setitem(hub.PACKAGED, whisper.PACKAGE, packaged)
    monkeypatch.syspath_prepend(tmp_path)
    # That of an earlier test.
    monkeypatch.delitem(sys.modules, packaged.module, raising=False)
    return path


@pytest.fixture
def no_package(monkeypatch):
    packaged = hub.PACKAGED[whisper.PACKAGE]
    monkeypatch.setitem(hub.PACKAGED, whisper.PACKAGE, packaged._replace(module="no_such_weights"))
