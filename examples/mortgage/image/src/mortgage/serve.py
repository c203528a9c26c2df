"""What MLServer loads: the model, deciding at the threshold that Seatrial tells."""

from typing import Any

from mlserver_sklearn import SKLearnModel

from mortgage.decide import AtThreshold, threshold


class Denial(SKLearnModel):  # type: ignore[misc]
    """The model of this example."""

    async def load(self) -> bool:
        """Load the model, and let it decide at the threshold."""
        loaded: bool = await super().load()
        self._model: Any = AtThreshold(self._model, threshold())
        return loaded
