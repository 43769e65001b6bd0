"""What the embedded corpora are made of: sentences, voices, faces, and the files that they go into."""
