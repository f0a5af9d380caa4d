"""Bundles as zips, as the tests take them apart and put them together again."""

import zipfile


def files_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path, files, **more):
    with zipfile.ZipFile(path, "w", **more) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path
