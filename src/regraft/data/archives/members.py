"""`Members`: photos inside something that is opened as a whole, such as an archive, read in place by their names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regraft.data.tables.table import Table


class Members(ABC):
    """The members of something open, by names with ``/`` between the parts.

    Args:
        reasons: the names, each with the reason why it is left out, or ``""``.
        folders: names of the folders that are listed.

    Attributes:
        repeated: names that several members have; the last of these members counts.
        complete: False if there is no mark of the end, so that members may be missing.
    """

    def __init__(self, reasons: Mapping[str, str] | None = None, folders: frozenset[str] = frozenset()) -> None:
        self._reasons = dict(reasons or {})
        self._folders = folders
        self.repeated: list[str] = []
        self.complete = True

    def below(self, folder: str) -> Iterator[tuple[str, str]]:
        """Yield the name of each member below a folder, relative to it, and the reason why it is left out, or ``""``.

        Args:
            folder: name of the folder, ``""`` for all members.

        Raises:
            OSError: they cannot be listed.
        """
        inside = f"{folder}/" if folder else ""
        for name, reason in sorted(self._reasons.items()):
            if name.startswith(inside):
                yield name.removeprefix(inside), reason

    def folders_below(self, folder: str) -> set[str]:
        """Return the names of the listed folders below a folder, relative to it."""
        inside = f"{folder}/" if folder else ""
        return {name.removeprefix(inside) for name in self._folders if name.startswith(inside)}

    def has_folder(self, folder: str) -> bool:
        """Return whether a folder is listed."""
        return folder in self._folders

    def labels(self, column: str | None) -> Table | None:
        """Return the labels that are stored with the members, or None: then folders and names tell them.

        Args:
            column: the column of the labels, where the user names it.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""

    @abstractmethod
    def read(self, name: str, first: int | None = None) -> bytes:
        """Return the bytes of a member, or its ``first`` bytes.

        Raises:
            OSError: there is no such member, it is damaged, or it is larger than `regraft.data.file_types.MAX_BYTES`.
        """
