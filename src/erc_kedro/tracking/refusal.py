"""How a model that MLflow serves says no: one sentence, and a status that is the client's to act on."""

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INTERNAL_ERROR


class Refusal(MlflowException):
    """An answer that is a sentence, as JSON: status 400, or 500 where the client can do nothing about it."""

    def __init__(self, sentence: str, is_ours: bool = False) -> None:
        self._sentence = sentence
        super().__init__(sentence, INTERNAL_ERROR if is_ours else BAD_REQUEST)

    @property
    def message(self) -> str:
        """The sentence alone: MLflow's server would write the table before it, with what people said."""
        return self._sentence

    @message.setter
    def message(self, _: str) -> None:
        pass
