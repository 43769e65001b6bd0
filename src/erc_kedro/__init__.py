"""Emotion recognition in conversations from text, voice and face, with gated fusion and distillation."""

__version__ = "0.1.0"
