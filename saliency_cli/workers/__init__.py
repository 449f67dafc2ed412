"""Who explains the shards of a run. Another engine is one more entry in a dict."""

from saliency_cli.settings import EngineName
from saliency_cli.workers.in_process import open_local
from saliency_cli.workers.interface import OpenExecutor
from saliency_cli.workers.ray_pool import open_ray

EXECUTORS: dict[EngineName, OpenExecutor] = {"local": open_local, "ray": open_ray}
"""By the name that `--engine` takes."""
