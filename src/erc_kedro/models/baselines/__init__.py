"""Published models in our own code, trained and scored by the same protocol on the same features.

One file a model, chosen by ``model.architecture``. What differs from its paper is said in its docstring.
"""
