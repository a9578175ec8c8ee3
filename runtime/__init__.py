"""What the domain runs on: the actor engine, topics, edges, settings, logs, metrics, and the node that joins them."""

from typing import Final

__version__: Final = "0.1.0"
