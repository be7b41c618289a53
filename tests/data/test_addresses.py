"""Addresses of photos: their forms, and photos and archives in storage, read in place."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from data.labeled import labels_of, photo, tar_of, zip_of
from regraft.data.archives.address import address_of, container_of_address, plain_place, shown, stored
from regraft.data.file_types import read_regular
from regraft.data.folders.listing import is_in_archive
from regraft.data.manifest import scan
from regraft.data.photos_by_content import is_readable
from regraft.data.source import find_photos
from regraft.errors import ConfigError, PhotosError
from regraft.features.stores.shared.places import place_at


@pytest.fixture
def bucket(request):
    """A folder in the storage in memory, of this test alone."""
    name = f"bucket-{request.node.name}".replace("[", "-").replace("]", "")
    memory = fsspec.filesystem("memory")
    yield memory, name
    memory.rm(f"/{name}", recursive=True)


def upload(bucket, members):
    memory, name = bucket
    for path, data in members.items():
        memory.pipe_file(f"/{name}/{path}", data)
    return Path(f"memory://{name}")


ADDRESSES = ["s3://bucket/photos", "gs://bucket", "simplecache::s3://bucket/a b/ä.jpg", "memory://bucket/1.jpg"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_path_is_the_address_that_it_was_made_of(address, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = Path(address)
    for form in (path, path.absolute(), path.resolve(), path / "x" / ".."):
        assert address_of(form).startswith(address)
    assert shown(path) == stored(path) == address
    assert address_of(path / "ants" / "1.jpg") == f"{address}/ants/1.jpg"


@pytest.mark.parametrize("path", ["photos", "C:/photos", "a:b/c", "/s3/photos", "s3", "photos/12:30:00/1.jpg"])
def test_other_paths_are_no_addresses(path):
    assert address_of(path) is None
    assert plain_place(path) == Path(path)


PLAIN = {
    "file:///photos/a b": "/photos/a b",
    "zip://train::s3://bucket/photos.zip": "s3:/bucket/photos.zip/train",
    "zip://::/photos.zip": "/photos.zip",
    "zip://train::file:///photos.zip": "/photos.zip/train",
    "tar://ants::gs://bucket/a.tar": "gs:/bucket/a.tar/ants",
}


@pytest.mark.parametrize("address", PLAIN)
def test_addresses_of_local_files_and_of_archives_are_paths(address):
    assert plain_place(address) == plain_place(Path(address)) == Path(PLAIN[address])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://example.org/photos.zip", r"regraft loads nothing from the web\n  download it"),
        ("http://localhost/a", "regraft loads nothing from the web"),
        ("foo://bucket/photos", r"the scheme foo is unknown\n  expected one of s3, "),
        ("zip://photos.zip", "the address names no archive"),
    ],
)
def test_other_addresses_are_refused(address, message):
    with pytest.raises(PhotosError, match=message):
        plain_place(Path(address))


def test_the_container_of_an_address_is_the_archive_or_the_bucket():
    assert container_of_address(Path("s3://bucket/photos/ants/1.jpg")) == Path("s3://bucket")
    assert container_of_address(Path("s3://bucket/a/photos.tar.gz/ants/1.jpg")) == Path("s3://bucket/a/photos.tar.gz")


def test_photos_in_storage_are_listed_and_read(bucket):
    root = upload(bucket, {f"photos/{name}": photo(i) for i, name in enumerate(["ant/1.jpg", "bee/2.jpg"])})
    upload(bucket, {"photos/notes.txt": b"text", "photos/.hidden/3.jpg": photo(3)})
    source = find_photos(root / "photos")
    assert labels_of(source) == {"ant/1.jpg": "ant", "bee/2.jpg": "bee"}
    assert {name for name, _ in source.skipped} == {"notes.txt", ".hidden/3.jpg"}
    assert all(entry.status == "ok" for entry in scan(source, workers=2).usable)
    assert read_regular(root / "photos" / "ant" / "1.jpg") == photo(0)
    assert is_readable(root / "photos" / "ant" / "1.jpg")
    assert not is_readable(root / "photos" / "ant" / "gone.jpg")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_in_storage_is_read_in_place(bucket, kind, tmp_path):
    members = {"train/ant/1.jpg": photo(1), "train/bee/2.jpg": photo(2)}
    file = (zip_of if kind == "zip" else tar_of)(tmp_path / f"a.{kind}", members)
    archive = upload(bucket, {f"a.{kind}": file.read_bytes()}) / f"a.{kind}"
    assert labels_of(find_photos(archive / "train")) == {"ant/1.jpg": "ant", "bee/2.jpg": "bee"}
    assert read_regular(archive / "train" / "bee" / "2.jpg") == photo(2)
    assert is_in_archive(archive)


def test_a_shard_in_storage_has_its_classes(bucket, tmp_path):
    file = tar_of(tmp_path / "a.tar", {"0.jpg": photo(0), "0.cls": b"a", "1.jpg": photo(1), "1.cls": b"b"})
    archive = upload(bucket, {"a.tar": file.read_bytes()}) / "a.tar"
    assert labels_of(find_photos(archive)) == {"0.jpg": "a", "1.jpg": "b"}


def test_a_table_in_storage_names_photos_next_to_it(bucket):
    root = upload(
        bucket, {"p/1.jpg": photo(1), "p/2.jpg": photo(2), "p/labels.csv": b"path,label\n1.jpg,ant\n2.jpg,bee\n"}
    )
    assert labels_of(find_photos(root / "p", root / "p" / "labels.csv")) == {"1.jpg": "ant", "2.jpg": "bee"}


def test_an_address_without_photos_is_an_error(bucket):
    root = upload(bucket, {"other/1.jpg": photo(1)})
    with pytest.raises(PhotosError, match="no such folder"):
        find_photos(root / "photos")


MISSING = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "oss": "ossfs",
}


@pytest.mark.parametrize(("scheme", "package"), MISSING.items())
def test_a_scheme_whose_package_is_missing_names_the_command(scheme, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    message = f"{scheme}:// addresses need an optional package: pip install {package}"
    with pytest.raises(PhotosError, match=message):
        find_photos(Path(f"{scheme}://another-bucket/photos"))
    with pytest.raises(ConfigError, match=rf"--store {scheme}://bucket/features: .*\n  pip install {package}"):
        place_at(f"{scheme}://bucket/features")


def test_a_storage_that_cannot_be_opened_is_one_line(monkeypatch):
    def refuse(address):
        raise OSError("Unable to load libjvm\ndlopen failed")

    monkeypatch.setattr("fsspec.core.url_to_fs", refuse)
    with pytest.raises(PhotosError, match="hdfs://host: cannot be opened: Unable to load libjvm dlopen failed"):
        find_photos(Path("hdfs://host/photos"))


def test_libraries_of_clouds_print_no_traceback(capsys):
    import logging

    logging.getLogger("gcsfs").warning("_request out of retries")
    logging.getLogger("azure.identity").warning("DefaultAzureCredential failed")
    assert capsys.readouterr().err == ""


@pytest.fixture(params=["gs", "gcs", "az", "abfs"])
def cloud(request, monkeypatch):
    """An address of a cloud whose files are in memory, under the name of its scheme."""
    scheme = request.param

    class InMemory(MemoryFileSystem):
        protocol = scheme
        store: ClassVar = {}
        pseudo_dirs: ClassVar = [""]

        @classmethod
        def _strip_protocol(cls, path):
            return "/" + str(path).removeprefix(f"{scheme}://").strip("/")

    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, scheme, InMemory)
    return f"{scheme}://bucket-{request.node.name.replace('[', '-').replace(']', '')}"


def test_photos_of_a_cloud_are_read_in_place(cloud, tmp_path):
    files = fsspec.filesystem(cloud.partition(":")[0])
    members = {f"photos/{label}/{number}.jpg": photo(number) for label in ("ant", "bee") for number in (1, 2)}
    for name, data in members.items():
        files.pipe_file(f"{cloud}/{name}", data)
    source = find_photos(Path(f"{cloud}/photos"))
    assert labels_of(source) == {name.removeprefix("photos/"): name.split("/")[1] for name in members}
    assert read_regular(Path(f"{cloud}/photos/ant/1.jpg")) == members["photos/ant/1.jpg"]
    archive = zip_of(tmp_path / "all.zip", {"ant/1.jpg": photo(1), "bee/2.jpg": photo(2)})
    files.pipe_file(f"{cloud}/all.zip", archive.read_bytes())
    assert labels_of(find_photos(Path(f"{cloud}/all.zip"))) == {"ant/1.jpg": "ant", "bee/2.jpg": "bee"}
    address = f"{cloud}/photos"
    assert shown(Path(address)) == stored(Path(address)) == address


def test_errors_of_a_cloud_are_one_line(monkeypatch):
    class Refusing:
        def find(self, path):
            raise RuntimeError("An error occurred (AccessDenied)\nwhen calling ListObjects")

    monkeypatch.setattr("fsspec.core.url_to_fs", lambda address: (Refusing(), "refusing-bucket"))
    with pytest.raises(
        PhotosError, match=r"cannot be read: An error occurred \(AccessDenied\) when calling ListObjects"
    ):
        find_photos(Path("s3://refusing-bucket/photos"))


@pytest.mark.slow
def test_photos_in_s3(tmp_path, monkeypatch):
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    server_of = pytest.importorskip("moto.server", reason="moto, a local server of S3, is not installed")
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        files = fsspec.filesystem("s3")
        files.mkdir("bucket")
        members = {"ant/1.jpg": photo(1), "bee/ä 2.jpg": photo(2)}
        for name, data in members.items():
            files.pipe_file(f"bucket/photos/{name}", data)
        files.pipe_file("bucket/photos.zip", zip_of(tmp_path / "a.zip", members).read_bytes())
        for root in ("s3://bucket/photos", "s3://bucket/photos.zip"):
            source = find_photos(Path(root))
            assert labels_of(source) == {"ant/1.jpg": "ant", "bee/ä 2.jpg": "bee"}
            assert all(entry.status == "ok" for entry in scan(source, workers=2).entries)
        with pytest.raises(PhotosError, match="s3://no-such-bucket/photos: cannot be read: no such file"):
            find_photos(Path("s3://no-such-bucket/photos"))
    finally:
        server.stop()
