"""Names of the columns of tables of photos, in the languages in which they are common.

The English names are those of public data sets and of other programs: Hugging Face's ``file_name``, Kaggle's ``id`` and
``image_id``, Keras's ``filename`` and ``class``, ISIC's ``image``. Order means rank where a table has several of them.
"""

from __future__ import annotations

from typing import Final

from regraft.data.tables.cells import column_key

_PATH = """path | filepath | file path | image path | img path | photo path | picture path | full path |
filename | file | file name | fname | fn | image file | image filename | image name | img name | img file |
photo file | photo name | image | img | photo | picture | pic | image id | img id | photo id | picture id |
image index | file id | files | images | photos | imagefile | uri | id | name | key | dateipfad | pfad |
dateiname | datei | bilddatei | bildname | bild | foto | aufnahme | bild id | chemin | nom du fichier |
nom de fichier | fichier | nom fichier | nom image | cliché | ruta | archivo | nombre de archivo |
nombre del archivo | nombre archivo | fichero | imagen | fotografía | percorso | nome file | nome del file |
immagine | caminho | arquivo | nome do arquivo | nome arquivo | ficheiro | imagem | pad | bestand |
bestandsnaam | afbeelding | ścieżka | plik | nazwa pliku | obraz | zdjęcie | cesta | soubor | název souboru |
obrázek | sökväg | fil | filnamn | filnavn | bilde | billede | sti | polku | tiedosto | tiedostonimi | kuva |
elérési út | fájl | fájlnév | kép | dosya | dosya adı | dosya yolu | resim | fotoğraf | görsel | путь | файл |
имя файла | изображение | картинка | фото | фотография | файл изображения | файлу | шлях | зображення | 路径 |
文件路径 | 文件名 | 文件 | 图片 | 图像 | 图片名 | 图片名称 | 照片 | 路徑 | 檔案 | 檔名 | 圖片 | パス |
ファイルパス | ファイル名 | ファイル | 画像 | 画像名 | 画像ファイル | 写真 | 경로 | 파일 경로 | 파일명 | 파일 |
이미지 | 사진 | مسار | ملف | اسم الملف | صورة | נתיב | קובץ | תמונה | đường dẫn | tệp | ảnh | berkas | gambar |
nama file"""

_LABEL = """label | labels | class | class label | class name | klasse | klassen | classe | clase | klasa |
klass | luokka | třída | osztály | sınıf | класс | клас | 类别 | 類別 | クラス | 클래스 | فئة | מחלקה | lớp |
kelas || category | categories | category name | label name | target | species | breed | variety | cultivar |
genus | type | tag | tags | kind | ground truth | groundtruth | gt | true label | annotation | annotations |
diagnosis | dx | finding | finding labels | finding label | answer | y | y true | product | object |
subject class | common name | scientific name | art | kategorie | etikett | bezeichnung | rasse | sorte |
gattung | typ | pflanzenart | tierart | befund | diagnose | catégorie | étiquette | espèce | race | libellé |
categoría | etiqueta | especie | raza | tipo | categoria | etichetta | specie | razza | espécie | raça |
rótulo | categorie | soort | ras | kategoria | gatunek | etykieta | rasa | štítek | druh | plemeno | etikett |
kategori | art namn | laji | kategoria | címke | faj | etiket | tür | cins | метка | категория | вид | порода |
тип | мітка | вид рослини | 标签 | 分类 | 种类 | 品种 | 標籤 | 分類 | 種類 | ラベル | カテゴリ | カテゴリー |
品種 | 라벨 | 레이블 | 분류 | 종류 | 품종 | تصنيف | תווית | nhãn | loài | label kelas | jenis || class id |
label id | category id | class index | label index | target id | class number | class idx || choice"""

_SPLIT = "split | subset | partition | side | set | usage | aufteilung | ensemble | partición | разбиение"
_GROUP = "group | gruppe | groupe | grupo | gruppo | группа"
_PREDICTED = "probability | error"


def _ranks(text: str) -> dict[str, int]:
    """Return the rank of each name; names between ``||`` have the same one."""
    tiers = [[column_key(word) for word in tier.replace("\n", " ").split("|")] for tier in text.split("||")]
    if len(tiers) == 1:
        return {word: rank for rank, word in reversed(list(enumerate(tiers[0])))}
    return {word: rank for rank, tier in reversed(list(enumerate(tiers))) for word in tier}


PATH_RANKS: Final = _ranks(_PATH)
"""Names of the column of photos, with their ranks."""

LABEL_RANKS: Final = _ranks(_LABEL)
"""Names of the column of labels: 0 for classes, 1 for what classes often are, 2 for their numbers, 3 for the
answers in Label Studio's CSV."""

SPLIT_NAMES: Final = frozenset(_ranks(_SPLIT))
GROUP_NAMES: Final = frozenset(_ranks(_GROUP))
PREDICTED_NAMES: Final = frozenset(_ranks(_PREDICTED))
"""Columns that ``regraft predict`` writes next to the label."""
