"""Who explains the shards of a run. Another engine is one more entry in a dict."""

from saliency_cli.engines.local import local_engine
from saliency_cli.engines.on_ray import ray_engine
from saliency_cli.engines.work import Engine
from saliency_cli.settings import EngineName

ENGINES: dict[EngineName, Engine] = {"local": local_engine, "ray": ray_engine}
"""By the name that `--engine` takes."""
