"""Producers: functions that make the partitions of an asset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakepart.errors import InvalidInputError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.functions import reference
from lakepart.model.inputs import Input
from lakepart.model.names import check_asset_name
from lakepart.model.records import ProducerRecord


@dataclass(frozen=True, slots=True)
class Producer:
    """A function with what the lake must know of it; made by :func:`producer`, still callable as the function.

    Attributes
    ----------
    asset
        The asset whose partitions it makes.
    inputs
        Input assets by the name of the parameter that receives them; as names, or as :class:`Input` with a mapping.
    code_version
        Raised by hand when the logic changes; partitions made by another version are stale.
    """

    function: Callable[..., Any]
    asset: str
    partitions: PartitionsDefinition | None
    inputs: Mapping[str, str | Input] = field(default_factory=dict)
    code_version: str | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    @property
    def record(self) -> ProducerRecord:
        """What the catalog keeps of it."""
        inputs = {name: Input.of(given).to_recorded() for name, given in self.inputs.items()}
        return ProducerRecord(self.code_version, inputs, reference(self.function))


def producer(
    asset: str,
    *,
    partitions: PartitionsDefinition | None = None,
    inputs: Mapping[str, str | Input] | None = None,
    code_version: str | None = None,
) -> Callable[[Callable[..., Any]], Producer]:
    """Declare that a function makes the partitions of ``asset``.

    Parameters
    ----------
    asset
        Name of the asset.
    partitions
        How it is cut; needed unless the asset is declared already.
    inputs
        Input assets by parameter name: ``{"flights": "flights"}``, or ``Input("flights", mapping=…)`` where another
        mapping is meant than the two definitions suggest. For each call, the function is given the input partitions
        that its own partitions need, as resolved read-only selections.
    code_version
        Change it when the logic changes: what an older version made is stale from then on.

    Returns
    -------
    A decorator. The function is called as ``function(part, **inputs)`` and returns the rows of ``part`` (anything
    that can be written), or ``{key: frame}``, or yields ``(key, frame)``.

    Examples
    --------
    >>> import lakepart as lp
    >>> @lp.producer("squares", partitions=lp.Static(["2", "3"]), code_version="1")
    ... def squares(part):
    ...     return pd.DataFrame({"square": [int(part.key) ** 2]})
    >>> squares.asset
    'squares'
    """
    check_asset_name(asset)
    if code_version is not None and not isinstance(code_version, str):
        raise InvalidInputError(
            f"code_version={code_version!r} is not a str.", hint=f'write code_version="{code_version}".'
        )
    for name, given in (inputs or {}).items():
        Input.of(given)
        if not name.isidentifier():
            raise InvalidInputError(
                f"Input {name!r} of {asset!r} is no parameter name.", hint="use a Python identifier."
            )

    def decorate(function: Callable[..., Any]) -> Producer:
        return Producer(function, asset, partitions, dict(inputs or {}), code_version)

    return decorate
