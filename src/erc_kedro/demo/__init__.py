"""The embedded corpora: generated, so that the software can be tried without the licensed ones."""
