"""The TensorFlow Datasets side of records: features, serialisation, and publication.

Records are what TFDS calls a dataset in file format `array_record`, so that `tfds.data_source`,
`tfds.builder_from_directory` and Grain read the same files. TensorFlow is never imported.
"""

import contextlib
import io
import os
import shutil
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder, example_serializer

from smarties.data import sources

VERSION = "1.0.0"
Layout = list[dict[str, Any]]  # of an example: {"path", "shape", "dtype"} of every array and text


def layout(example: sources.Example) -> Layout:
    """Returns what all examples of a dataset have in common, JSON-able, sorted by path."""
    return [
        {
            "path": list(path),
            "shape": [] if isinstance(value, str) else list(np.shape(value)),
            "dtype": "text"
            if isinstance(value, str)
            else np.asarray(value).dtype.newbyteorder("<").str,
        }
        for path, value in _leaves(example)
    ]


def _leaves(example: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    for key, value in sorted(example.items()):
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def features(fields: Layout) -> tfds.features.FeaturesDict:
    """Returns the TFDS features of a layout; arrays are stored as the bytes they are."""
    tree: dict[str, Any] = {}
    for field in fields:
        *above, name = field["path"]
        place = tree
        for key in above:
            place = place.setdefault(key, {})
        place[name] = (
            tfds.features.Text()
            if field["dtype"] == "text"
            else tfds.features.Tensor(
                shape=tuple(field["shape"]),
                dtype=np.dtype(field["dtype"]).newbyteorder("=").type,
                encoding="bytes",
            )
        )
    return tfds.features.FeaturesDict(tree)


class Encoder:
    """Makes an example of a layout a serialised `tf.train.Example`, the same bytes every time."""

    def __init__(self, fields: Layout):
        self._features = features(fields)
        self._serializer = example_serializer.ExampleSerializer(
            self._features.get_serialized_info()  # type: ignore
        )

    def __call__(self, example: sources.Example) -> bytes:
        known = {k: v for k, v in example.items() if not isinstance(v, dict) or v}
        encoded = self._features.encode_example(known)
        message = self._serializer.get_tf_example(encoded)
        return message.SerializeToString(deterministic=True)


class Prepared(dataset_builder.FileReaderBuilder, skip_registration=True):
    """A TFDS builder that publishes shards written before, all at once or not at all."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(
        self,
        *,
        fields: Layout,
        about: Mapping[str, Any],
        shards: Mapping[str, Sequence[tuple[Path, int]]],
        extra: Mapping[str, str],
        data_dir: str,
    ):
        """Makes the builder; `type_of` names it.

        Args:
          fields: of the examples.
          about: description, homepage, citation and license, of `tfds.core.DatasetInfo`.
          shards: of each split, in order: file and number of examples.
          extra: text files to put beside them, by name.
          data_dir: where TFDS keeps datasets; the files go to `data_dir/NAME/VERSION`.
        """
        self._fields, self._about, self._shards, self._extra = fields, about, shards, extra
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self, features=features(self._fields), disable_shuffling=True, **self._about
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        infos = []
        for split, shards in self._shards.items():
            template = self._get_filename_template(split_name=split)
            for number, (file, _) in enumerate(shards):
                path = template.sharded_filepath(shard_index=number, num_shards=len(shards))
                _place(file, Path(path))
            infos.append(
                tfds.core.SplitInfo(
                    name=split,
                    shard_lengths=[count for _, count in shards],
                    num_bytes=sum(file.stat().st_size for file, _ in shards),
                    filename_template=template,
                )
            )
        self.info.set_splits(tfds.core.SplitDict(infos))
        for name, text in self._extra.items():
            (Path(self._data_dir) / name).write_text(text)


def build(name: str, workspace: Path, **arguments: Any) -> Path:
    """Returns the folder of a dataset made of finished shards, below a workspace of its own.

    Args:
      name: of the dataset, as TFDS has names: lower case, digits and underscores.
      workspace: made anew; what an interrupted call has left there is removed.
      arguments: of `Prepared`, but `data_dir`.
    """
    shutil.rmtree(workspace, ignore_errors=True)
    body = {"__module__": __name__, "name": name}
    kind = types.new_class(name, (Prepared,), {"skip_registration": True}, lambda n: n.update(body))
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS says that it downloads
        kind(data_dir=str(workspace), **arguments).download_and_prepare(download_config=config)
    return workspace / name / VERSION


def _place(file: Path, path: Path) -> None:
    """Puts a second name to a file, or a copy where the file system has no links."""
    with contextlib.suppress(OSError):
        os.link(file, path)
    if not path.exists():
        shutil.copyfile(file, path)
