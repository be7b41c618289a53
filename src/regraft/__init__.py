"""regraft: a folder of labelled photos becomes a classifier.

    import regraft as rg

    run = rg.train("photos/", recipe="auto", budget="10m")
    run.model.predict("new.jpg")

What is public is listed in `__init__.pyi` and loaded when it is first used: importing this package loads no torch.
"""

import lazy_loader

from regraft.models.timm_import import install_torchvision_repair

install_torchvision_repair()
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
