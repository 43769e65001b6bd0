"""Voices to vectors: functionals of hand-made contours, openSMILE's sets, pretrained speech models."""
