"""From an utterance's text or clip to a vector; nothing here knows a corpus."""
