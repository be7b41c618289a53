"""Classify photos with the model.onnx in the same folder: python predict.py PHOTO ...

Needs: pip install numpy onnxruntime pillow. Written by regraft export; it does not need regraft.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageCms

Image.MAX_IMAGE_PIXELS = 125_000_000  # Pillow refuses twice as many
session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
facts = session.get_modelmeta().custom_metadata_map
classes, white = json.loads(facts["classes"]), int(facts["white_level"])
turn = Image.Transpose
turns = [turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM]
turns += [turn.TRANSPOSE, turn.ROTATE_270, turn.TRANSVERSE, turn.ROTATE_90]


def orientation(image):
    """Return the Exif orientation, 1 (upright) to 8."""
    try:
        value = image.getexif().get(0x0112)
    except Exception:  # noqa: BLE001  (broken Exif; the photo itself is fine)
        return 1
    return value if isinstance(value, int) and 2 <= value <= 8 else 1


def factor(size, turned):
    """Return by how much a large photo can be reduced before the file resizes it."""
    need = json.loads(facts["at_least"])
    need = need[::-1] if turned >= 5 else need
    return max(min(have // (2 * least) for have, least in zip(size, need, strict=True)), 1)


def levels(values):
    """Return gray of more than 8 bits as 8 bits."""
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65535:
        return ((np.minimum(values.astype(np.uint32), white) * 255 + white // 2) // white).astype(np.uint8)
    numbers = np.nan_to_num(values.astype(float))
    low, high = numbers.min(), numbers.max()
    if low < 0 or high > 65535:
        return np.rint((numbers - low) * 255 / max(high - low, 1e-9)).astype(np.uint8)
    return np.rint(numbers / 257 if high > 255 else numbers * 255 if high <= 1 else numbers).astype(np.uint8)


def srgb(image, profile):
    """Return an image in sRGB, given the color profile in its file."""
    image = image if image.mode in ("RGB", "CMYK", "L", "LAB") else image.convert("RGB")
    try:
        lab = image.mode == "LAB"
        source = ImageCms.createProfile("LAB") if lab else ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
        image = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):  # no profile, a broken one, or one for other colors
        pass
    return image.convert("RGB")


def on_ground(image, profile):
    """Return an image with transparent parts on white, or on black if it is white itself."""
    image = image.convert("RGBA")
    rgb, alpha = srgb(image.convert("RGB"), profile), image.getchannel("A")
    size = [min(have, 1024) for have in image.size]
    color, opacity = (np.asarray(one.resize(size, Image.Resampling.NEAREST)).astype(int) for one in (rgb, alpha))
    different, visible = (255 - color.min(axis=-1)) * opacity > 255 * 32, (opacity > 32).sum()
    black = facts["ground"] == "visible" and visible and different.sum() < 0.005 * visible
    return Image.composite(rgb, Image.new("RGB", image.size, "black" if black else "white"), alpha)


def read(path):
    """Return the pixels of a photo, (H, W, 3), uint8, upright, in sRGB."""
    image = Image.open(path)
    scale = factor(image.size, orientation(image)) if image.format in ("JPEG", "MPO") else 1
    image.draft(None, [max(have // scale, 1) for have in image.size])  # a large JPEG: at 1/2, 1/4 or 1/8 scale
    image.load()
    turned, profile = orientation(image), image.info.get("icc_profile")
    if image.mode[0] in "IF":
        image = Image.fromarray(levels(np.asarray(image)))
    image = on_ground(image, profile) if image.has_transparency_data else srgb(image, profile)
    if image.width * image.height > 40_000_000:
        image = image.reduce(factor(image.size, turned))
    return np.asarray(image.transpose(turns[turned - 2]) if turned > 1 else image)


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may lack the letters of a name
    for path in sys.argv[1:]:
        try:
            probabilities, label, unsure = session.run(["probabilities", "label", "unsure"], {"photo": read(path)})
            name = classes[label].translate(dict.fromkeys(b"\t\n\r", " "))  # one line, four columns
            print(path, name, f"{probabilities[label]:.6f}", "unsure" if unsure else "", sep="\t")
        except Exception as error:  # noqa: BLE001  (Pillow raises many kinds for damaged files)
            print(path, "", "", f"unreadable: {error}", sep="\t")
