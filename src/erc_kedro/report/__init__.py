"""Tables of results in, printed tables, Plotly figures and pages out; nothing is computed or read from disk.

``pages`` import ``tables`` and ``plots``, and all import the modules here: ``section`` (what a page shows of
a corpus), ``labels`` (what things are called in print), ``scaling`` (how the scaling of features is said)
and ``published`` (other people's scores).
"""
