"""An encoder of ``transformers`` learns a corpus's emotions, on its training dialogues alone.

``encoders.finetune`` is the door: it fits one encoder on all training dialogues, and one a fold without
that fold's, and leaves a folder that ``extractors.text`` reads.
"""
