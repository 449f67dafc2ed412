"""Executors: what commits the shards of a run. To add one, add an entry to `EXECUTORS`."""

from saliency_cli.settings import EngineName
from saliency_cli.workers.in_process import open_local
from saliency_cli.workers.interface import OpenExecutor
from saliency_cli.workers.ray_pool import open_ray

EXECUTORS: dict[EngineName, OpenExecutor] = {"local": open_local, "ray": open_ray}
"""How to open each executor, by the value of the option `--engine`."""
