"""Who explains the shards of a run. Another engine is one more entry in a dict."""

from saliency_cli.settings import EngineName
from saliency_cli.workers.in_process import local_engine
from saliency_cli.workers.interface import Engine
from saliency_cli.workers.ray_pool import ray_engine

ENGINES: dict[EngineName, Engine] = {"local": local_engine, "ray": ray_engine}
"""By the name that `--engine` takes."""
