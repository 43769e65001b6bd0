"""Faces to vectors: found in sampled frames, followed, cut out, and measured or shown to a network."""
