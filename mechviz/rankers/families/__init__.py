"""The model families that mechviz opens, by the ``model_type`` of their configuration."""

from mechviz.rankers.families import bert
from mechviz.rankers.families.family import Family, Head

FAMILIES: dict[str, Family] = {family.model_type: family for family in (bert.FAMILY,)}

__all__ = ["FAMILIES", "Family", "Head"]
