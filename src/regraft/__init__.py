"""regraft: a classifier from a folder of labeled photos.

    import regraft as rg

    run = rg.train("photos/", recipe="auto", budget="10m")
    run.model.predict("new.jpg")

The public names are listed in `__init__.pyi`, and loaded on first use: importing this package loads no torch.
"""

import lazy_loader

from regraft.models.timm_import import install_torchvision_repair

install_torchvision_repair()
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
