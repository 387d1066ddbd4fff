"""Mappings that a user's own function decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from lakepart.errors import InvalidInputError, StateError
from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.functions import load_function, reference
from lakepart.model.mapping_base import Mapped, ReachingMapping, check_nonexistent, map_keys, nonexistent_argument
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.reprs import repr_some, repr_text

KeyFunction = Callable[[str], str | Iterable[str]]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class CustomMapping(ReachingMapping):
    """The input partitions that a function of your own names for the partition.

    Parameters
    ----------
    name
        What plans, errors and the catalog call it.
    function
        Called with a key, gives the input key or keys that the partition is made from; the same ones whenever it is
        asked. The catalog keeps it as ``module:qualname``, and that text is accepted too. One that cannot be imported
        by that name is known only to the lake handle its producer was registered with.
    nonexistent
        ``"error"`` (default) fails the run of a partition for which it names a key that the input does not have;
        ``"skip"`` gives those it has.

    Notes
    -----
    The function is called once for each partition that is mapped; the way back calls it for every partition whose
    window has elapsed, so it is the one mapping whose cost grows with the number of partitions. Two of them are equal
    if name and reference are.

    Examples
    --------
    >>> from datetime import UTC
    >>> from lakepart.model.definitions import Static
    >>> halves = CustomMapping("halves", lambda key: [key + "-h1", key + "-h2"])
    >>> year = PartitionSet.parse(Static(["2013", "2014"]), "2013")
    >>> halves.upstream(year, Static(["2013-h1", "2013-h2"]), datetime(2014, 6, 1, tzinfo=UTC)).partitions.keys
    ['2013-h1', '2013-h2']
    """

    name: str
    reference: str | None
    function: KeyFunction | None = field(compare=False)

    kind: ClassVar[str] = "custom"

    def __init__(self, name: str, function: KeyFunction | str, *, nonexistent: str = "error") -> None:
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"CustomMapping({name!r}, …): the name is a text, not an empty one.")
        if not callable(function) and not isinstance(function, str):
            raise InvalidInputError(
                f"CustomMapping({name!r}, {function!r}): the second is a function of a key, or 'module:qualname'."
            )
        check_nonexistent(nonexistent)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "reference", function if isinstance(function, str) else reference(function))
        object.__setattr__(self, "function", None if isinstance(function, str) else function)
        object.__setattr__(self, "nonexistent", nonexistent)

    def with_function(self, function: KeyFunction | None) -> Self:
        """Give the same mapping with its function at hand; None leaves it as it is."""
        if function is None or self.function is not None:
            return self
        found = type(self)(self.name, function, nonexistent=self.nonexistent)
        object.__setattr__(found, "reference", self.reference)
        return found

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:  # noqa: ARG002
        """Give the input partitions that the function names for those of ``downstream``."""
        needed = self._needed()
        return map_keys((one for key in downstream for one in needed(key)), upstream)

    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:
        """Give the partitions, of those that have elapsed, for which the function names any of ``upstream``."""
        needed = self._needed()
        candidates = PartitionSet.everything(downstream).elapsed(as_of)
        found = [key for key in candidates if any(one in upstream for one in needed(key))]
        return PartitionSet.from_keys(downstream, found)

    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""
        return f"what {self.reference or 'the function'} names ({self.name})"

    def parameters(self) -> dict[str, Any]:
        """Give what the mapping is made with, as JSON values."""
        return {"name": self.name, "function": self.reference, **ReachingMapping.parameters(self)}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Make the mapping that gave these parameters; its function is looked for when it is needed."""
        made = cls(parameters["name"], parameters["function"] or "", nonexistent=parameters.get("nonexistent", "error"))
        if parameters["function"] is None:
            object.__setattr__(made, "reference", None)
        return made

    def _needed(self) -> Callable[[str], Iterable[str]]:
        function = self.function or load_function(self.reference)
        if function is None:
            raise StateError(
                f"The function of mapping {self.name!r} is not at hand: it was not registered with this lake handle, "
                f"and {self.reference or 'it'} cannot be imported.",
                hint="register its producer again, lake.register(producer), or define it in a module that can be "
                "imported here.",
                context={"mapping": self.name, "function": self.reference},
            )

        def needed(key: str) -> Iterable[str]:
            try:
                given = function(key)
            except Exception as error:
                raise InvalidInputError(
                    f"Mapping {self.name!r} failed for {repr_text(key)}: {type(error).__name__}: {error}",
                    context={"mapping": self.name, "key": key},
                ) from error
            listed = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else []
            if not isinstance(given, Iterable) or not all(isinstance(one, str) and one for one in listed):
                shown = repr_some(listed) if listed else repr(given)
                raise InvalidInputError(
                    f"Mapping {self.name!r} gave {shown} for {repr_text(key)}: it gives an input key, or several.",
                    context={"mapping": self.name, "key": key},
                )
            return listed

        return needed

    def __repr__(self) -> str:
        return f"CustomMapping({self.name!r}, {self.reference!r}{nonexistent_argument(self)})"
