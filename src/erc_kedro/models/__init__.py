"""Pure torch: tensors in, tensors out. Nothing here knows a file, Kedro or MLflow.

Shapes: B dialogues, L utterances, M = 3 modalities (text, audio, visual), d hidden, C classes.
"""
