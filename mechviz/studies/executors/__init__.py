"""Who works on the chunks of a study: this process, several processes, or a Ray cluster."""

from mechviz.studies.executors.choose import EXECUTORS, Executor, choose

__all__ = ["EXECUTORS", "Executor", "choose"]
