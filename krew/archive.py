"""Packs a folder: python3 krew/archive.py FOLDER ARCHIVE, which ends in .tar.gz or .zip. The same content gives the same
bytes: files in order, all with the time of SOURCE_DATE_EPOCH and without an owner."""

import gzip
import os
import pathlib
import sys
import tarfile
import time
import zipfile

folder, archive = map(pathlib.Path, sys.argv[1:])
stamp = int(os.environ["SOURCE_DATE_EPOCH"])
files = sorted(path for path in folder.rglob("*") if path.is_file())


def mode(path):
    """What may be run. Windows does not say it of the scripts, so they are known by their names."""
    is_program = path.name in ("oc-quay", "oc-quay.exe") or path.name.endswith("_complete-quay")
    return 0o755 if is_program else 0o644


if archive.suffix == ".zip":
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), time.gmtime(stamp)[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whose modes these are
            entry.external_attr = mode(path) << 16
            pack.writestr(entry, path.read_bytes())
else:
    with open(archive, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, stamp) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as pack:
            for path in files:
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size, entry.mtime, entry.mode = path.stat().st_size, stamp, mode(path)
                with open(path, "rb") as content:
                    pack.addfile(entry, content)
