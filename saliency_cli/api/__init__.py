"""The Python interface: what `saliency_cli` itself offers to notebooks and services.

`saliency_cli/__init__.py` lists the names, and imports these modules when a name is first used.
"""
