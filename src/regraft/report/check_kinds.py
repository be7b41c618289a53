"""Plain explanations of the kinds of findings, for people who see them for the first time."""

from __future__ import annotations

EXPLANATIONS = {
    "two labels": "The same picture is in two classes. Keep the right one and drop the other, or correct its class.",
    "leak": "The same picture is among the training photos and among those that test the result. The result then looks "
    "better than it is. Drop one of them.",
    "wrong label": "The network, trained without this photo, is sure of another class. Compare it with the example: "
    "accept the suggestion, or keep the photo as it is.",
    "near copies": "Almost the same picture: saved again, cut, turned, or taken in the same moment. regraft keeps them "
    "on one side of the split. Drop some only if one picture counts too much.",
    "series": "Photos taken together look alike, so that the result is too good for new subjects. `--group-by` with "
    "the named grouping keeps them on one side of the split.",
    "same file": "Files with equal bytes. One of them is enough.",
    "same pixels": "Different files that show exactly the same picture. One of them is enough.",
    "placeholder": "Looks like a drawing or an “image not found” picture. Drop it if it shows nothing of its class.",
    "outlier": "Resembles no other photo. It may be valuable, or not belong here.",
    "blank": "Almost one color. Drop it if it shows nothing.",
    "tiny": "So few pixels that the network sees little.",
    "truncated": "The end of the file is missing. It is not used. Copy it again from its source.",
    "damaged": "The file opens, but a part of the picture is wrong. It is not used. Copy it again from its source.",
    "unreadable": "The file cannot be opened. It is not used.",
    "unsupported": "A kind of file that is not read. The sentence says what would take it.",
    "package missing": "Reading these files needs another package. The sentence has the command.",
    "not a photo": "The name is that of a photo, the content is something else. It is not used.",
    "too large": "More pixels than are read. It is not used. Save a smaller version.",
    "class names alike": "Two classes whose names differ only a little, such as by a capital letter. Are they one?",
    "small class": "So few photos that the class can hardly be learned or tested.",
    "uneven classes": "Some classes have many times as many photos as others.",
    "shortcut": "Something other than the subject tells the classes apart, such as the size of the files. The network "
    "may learn that instead.",
    "extreme shape": "A very long photo: the network sees only its center. Cut it to what matters.",
    "wrong extension": "The name says one format, the content is another. regraft reads the content.",
    "turned by Exif": "The camera noted that the photo must be turned. regraft turns it; other programs may not.",
    "odd colour mode": "Stored in an unusual way. regraft converts it.",
    "huge": "Far more pixels than the network sees. A smaller version gives the same result faster.",
}
"""Explanation by kind, in one to three short sentences."""


def explanation(kind: str) -> str:
    """Return the explanation of a kind of findings, or "" for a kind that has none."""
    return EXPLANATIONS.get(kind, "")
