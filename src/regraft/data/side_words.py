"""Words in folder names for the sides of a split, in the languages in which they are common.

The English words are those of Hugging Face's documentation of splits (``train``, ``training``; ``validation``,
``valid``, ``val``, ``dev``; ``test``, ``testing``, ``eval``, ``evaluation``), and a few that public data sets add.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from regraft.data.photo import Side

_TRAIN = """train training trn trainval learn learning lernen entrainement apprentissage entrenamiento treino
treinamento addestramento allenamento trening treningowe treningowy uczenie egitim traning обучение
обучающая обучающие тренировка тренировочная
trenovaci latih تدريب 训练 訓練 学習 トレーニング 훈련 학습"""
_VALIDATION = """val valid vali validation validate dev development validierung validacion validacao validazione
walidacja walidacyjne validatie validering dogrulama валидация валидационная проверка
проверочная validacni validasi تحقق 验证 驗證 検証 검증"""
_TEST = """test tests testing tst holdout heldout unseen prueba pruebas teste testes essai prova testowe testowy тест
тестовая тестовые тестирование
prufung pruefung testovaci teszt uji اختبار 测试 測試 テスト 테스트"""
_EVALUATION = "eval evaluation evaluating evaluate evaluacion avaliacao valutazione 評価 평가"
_UNLABELED = "pred predict prediction predictions unlabeled inference submission"
_FILLERS = """set sets data dataset datasets image images img imgs photo photos picture pictures pic pics sample samples
example examples file files folder dir split splits the of for archive takeout google dcim out daten bilder satz
fotos imagenes imagens dados datos donnees donnee dane zbior
набор данные выборка 集 数据 數據 数据集 データ 用 데이터 세트 v"""


def _plain(text: str) -> str:
    """Return ``text`` in lower case and without accents."""
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in parts if not unicodedata.combining(c))


def _table() -> dict[str, Side]:
    table: dict[str, Side] = {}
    words: tuple[tuple[str, Side], ...] = (
        (_TRAIN, "train"),
        (_VALIDATION, "validation"),
        (f"{_TEST} {_EVALUATION}", "test"),
    )
    for text, side in words:
        table |= dict.fromkeys(_plain(text).split(), side)
    return table


SIDE_OF_WORD: Final = _table()
_EVALUATION_WORDS: Final = frozenset(_plain(_EVALUATION).split())
_UNLABELED_WORDS: Final = frozenset(_plain(_UNLABELED).split())
_WAITING: Final = ("unlabel", "unsorted", "unclassified", "uncategori", "untagged", "unannotated", "unsortiert")
_NEW_FOLDERS: Final = frozenset({"new folder", "untitled folder", "neuer ordner", "to sort"})
FILLER_WORDS: Final = frozenset(_plain(_FILLERS).split())


@dataclass(frozen=True, slots=True)
class SideName:
    """The side that the name of a folder names.

    Attributes:
        side: the side.
        rest: the other words of the name, such as ``("seg",)`` of ``seg_train``; empty if the name is only a side.
        evaluation: true if the word is one of evaluation, which may mean validation or test.
    """

    side: Side
    rest: tuple[str, ...] = ()
    evaluation: bool = False


def side_of_value(text: str) -> Side | None:
    """Return the side that a cell of a table names, or None."""
    word = _plain(text.strip())
    return None if word in _EVALUATION_WORDS else SIDE_OF_WORD.get(word)


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case and without accents; numbers are words."""
    spaced = re.sub(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])|(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+|\d+", _plain(spaced))


def _side_word(word: str) -> str:
    """Return the word for a side in ``word``, such as ``train`` in ``trainset``; an empty string if there is none."""
    if word in SIDE_OF_WORD:
        return word
    parts = {word.removesuffix(filler) for filler in FILLER_WORDS if len(filler) > 1 or not filler.isascii()}
    parts |= {word.removeprefix(filler) for filler in FILLER_WORDS if len(filler) > 2}
    parts |= {part.removesuffix("s") for part in parts | {word}}
    return next((part for part in sorted(parts) if part in SIDE_OF_WORD), "")


def side_name(name: str) -> SideName | None:
    """Return the side that ``name`` names, or None if it names none or several."""
    words = words_of(name)
    if [*words[-2:]] in (["hold", "out"], ["held", "out"]):
        words[-2:] = ["holdout"]
    side_words = [_side_word(word) for word in words]
    sides = {SIDE_OF_WORD[word] for word in side_words if word}
    if sides == {"train", "validation"}:  # "trainval": photos for both
        sides = {"train"}
    if len(sides) != 1:
        return None
    rest = [w for w, side in zip(words, side_words, strict=True) if not side and w not in FILLER_WORDS]
    named = {word for word in side_words if word}
    return SideName(sides.pop(), tuple(word for word in rest if not word.isdigit()), named <= _EVALUATION_WORDS)


def side_names(names: Iterable[str]) -> dict[str, SideName]:
    """Return the side of each name that names one; ``eval`` is validation next to a ``test``, and otherwise test."""
    named = {name: side for name in names if (side := side_name(name)) is not None}
    plain = {side.side for side in named.values() if not side.evaluation}
    if "test" in plain and "validation" not in plain:
        return {n: replace(s, side="validation") if s.evaluation else s for n, s in named.items()}
    return named


def names_unlabeled(name: str) -> bool:
    """Return whether a folder's name announces photos without labels, such as ``test`` or ``seg_pred``."""
    side = side_name(name)
    if side is not None:
        return side.side != "train"
    return any(word in _UNLABELED_WORDS or word.startswith("unlabel") for word in words_of(name))


def sounds_unlabeled(name: str) -> bool:
    """Return whether a folder's name says that its photos wait for a label, such as ``unsorted`` or ``New folder``."""
    words = words_of(name)
    return any(word.startswith(_WAITING) for word in words) or " ".join(words) in _NEW_FOLDERS


def telling_words(name: str) -> tuple[str, ...]:
    """Return the words of a name that are neither numbers nor words such as ``images``."""
    return tuple(word for word in words_of(name) if word not in FILLER_WORDS and not word.isdigit())


def label_in(name: str) -> str:
    """Return what a name such as ``train_Black Cat`` says besides its side: ``Black Cat``."""
    side = side_name(name)
    rest = set() if side is None else set(side.rest)
    return " ".join(word for word in re.findall(r"[^\W\d_]+", name) if _plain(word) in rest)


def is_generic(name: str) -> bool:
    """Return whether a folder's name does not describe its photos, such as ``images`` or ``data set 2``."""
    words = [word for word in words_of(name) if not word.isdigit()]
    return bool(words) and all(word in FILLER_WORDS for word in words)
