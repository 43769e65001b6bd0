"""Plotly figures of results: each takes a table, and draws a sentence where there is nothing to draw."""
