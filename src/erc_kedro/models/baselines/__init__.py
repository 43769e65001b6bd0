"""Published models in our own code, trained and scored by the same protocol on the same features.

One file a model, chosen by ``model.architecture``. Each is a :class:`base.Baseline`; what differs from its
paper is said in its docstring.
"""
