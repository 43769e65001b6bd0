"""What is odd about a corpus and its features, and what must be refused before training: tables in, facts and
sentences out."""
