"""Scripts around Parley: installation, servers, the demo. Nothing of the node imports this."""
