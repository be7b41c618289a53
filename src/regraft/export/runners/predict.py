"""Classify photos with the model.onnx in the same folder: python predict.py PHOTO ...

Needs: pip install numpy onnxruntime pillow. Written by regraft export; it does not need regraft.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageCms, ImageOps

session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
facts = session.get_modelmeta().custom_metadata_map
classes, white = json.loads(facts["classes"]), int(facts["white_level"])


def read(path):
    """Return the pixels of a photo, (H, W, 3), uint8, upright, in sRGB."""
    image = Image.open(path)
    need = json.loads(facts["at_least"])
    need = need[::-1] if image.getexif().get(0x0112, 1) >= 5 else need
    scale = max(min(have // (2 * size) for have, size in zip(image.size, need, strict=True)), 1)
    image.draft(None, [max(have // scale, 1) for have in image.size])  # a large JPEG: at 1/2, 1/4 or 1/8 scale
    image = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):  # 16-bit gray
        values = np.minimum(np.asarray(image).astype(np.uint32), white)
        image = Image.fromarray(((values * 255 + white // 2) // white).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        color, opacity = np.asarray(image)[..., :3].astype(int), np.asarray(image)[..., 3].astype(int)
        dark = (255 - color.min(axis=-1)) * opacity > 255 * 32
        black = facts["ground"] == "visible" and 0 < (opacity > 32).sum() * 0.005 > dark.sum()
        ground = Image.new("RGB", image.size, "black" if black else "white")
        image = Image.composite(image.convert("RGB"), ground, image.getchannel("A"))
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except ImageCms.PyCMSError:  # a broken profile, or one for other colors
            pass
    return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    for path in sys.argv[1:]:
        try:
            probabilities, label, unsure = session.run(["probabilities", "label", "unsure"], {"photo": read(path)})
            print(path, classes[label], f"{probabilities[label]:.6f}", "unsure" if unsure else "", sep="\t")
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
            print(path, "", "", f"unreadable: {error}", sep="\t")
