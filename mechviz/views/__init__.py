"""Views: widgets that draw results. They import neither a ranker nor torch."""

from mechviz.views.patching import PatchingView

__all__ = ["PatchingView"]
