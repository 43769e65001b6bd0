"""Pages for people: HTML that opens offline, and Markdown."""
