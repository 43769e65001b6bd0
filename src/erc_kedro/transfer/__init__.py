"""Learning on some corpora for another: shared labels, shared features, and what each network is given."""
