"""The model repository: a folder of models, each with its config, and the way to get them from their publishers.

`python -m inference.repository pull [NAME...]` gets models, `list` shows what is there.
"""

from inference.repository.folder import (
    BrokenModel,
    InstalledModel,
    ModelMissing,
    ModelRepository,
    default_model_dir,
    verify,
)

__all__ = ["BrokenModel", "InstalledModel", "ModelMissing", "ModelRepository", "default_model_dir", "verify"]
