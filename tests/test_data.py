"""Data sources: what they give, what they refuse, and that images are decoded once."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from modescope.data import load_data
from modescope.data.augment import check_augmentation
from modescope.data.cache import cache_folder
from modescope.data.split import checked
from modescope.data.tensors import in_memory
from modescope.errors import DataError
from modescope.settings import DataSettings

IMAGES = np.random.default_rng(0).integers(0, 256, size=(6, 8, 8, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def loaded(source, **settings):
    return load_data(DataSettings(source=str(source), **settings))


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, "png")
    return buffer.getvalue()


def save_npz(path, **changes):
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:3], "y_test": LABELS[:3], **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return f"npz:{path}"


def save_parquet(folder, images=IMAGES, labels=LABELS, image="img", label="label", names=None):
    folder.mkdir(exist_ok=True)
    for part, count in (("train", len(images)), ("test", 3)):
        cells = [{"bytes": png(picture), "path": None} for picture in images[:count]]
        table = pa.table({image: cells, label: pa.array(labels[:count], pa.int64())})
        if names is not None:
            features = {label: {"names": names, "_type": "ClassLabel"}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, folder / f"{part}-00000-of-00001.parquet")
    return f"parquet:{folder}"


# --- digits -------------------------------------------------------------------------------------------------------


def test_digits_are_a_fixed_stratified_split_of_all_real_digits():
    data = loaded("digits")
    assert (len(data.train), len(data.test), data.input_shape) == (1000, 797, (8, 8, 1))
    assert data.brightest == 16
    assert data.class_names == tuple("0123456789")
    shares = np.stack([np.bincount(part.labels) / len(part) for part in (data.train, data.test)])
    assert abs(shares[0] - shares[1]).max() < 0.002
    together = np.concatenate([data.train.inputs, data.test.inputs]).reshape(1797, 64)
    assert sorted(map(tuple, together)) == sorted(map(tuple, load_digits().data.astype(np.uint8)))


def test_the_split_of_the_digits_never_changes():
    # changing this changes every published number about the default recipe
    assert loaded("digits").fingerprint.startswith("8c18421d")


def test_a_seeded_subset_is_the_same_each_time_and_holds_different_classes():
    data, again = (loaded("digits", train_examples=100, test_examples=50) for _ in range(2))
    assert (len(data.train), len(data.test)) == (100, 50)
    np.testing.assert_array_equal(data.train.inputs, again.train.inputs)
    assert len(np.unique(data.train.labels)) == 10
    with pytest.raises(DataError, match="data.test_examples asks for 798 examples; the source has 797"):
        loaded("digits", test_examples=798)


# --- npz and functions --------------------------------------------------------------------------------------------


def test_a_part_holds_every_class_in_its_proportion_and_a_smaller_one_lies_in_a_larger():
    whole = np.bincount(loaded("digits").train.labels) / 1000
    parts = {count: loaded("digits", train_examples=count).train for count in (10, 40, 300)}
    for count, part in parts.items():
        assert np.abs(np.bincount(part.labels, minlength=10) - count * whole).max() <= 1
    small, large = ({image.tobytes() for image in parts[count].inputs} for count in (40, 300))
    assert small <= large


def test_a_part_of_one_class_is_refused():
    with pytest.raises(DataError, match=r"data\.train_examples=1 leaves one class"):
        loaded("digits", train_examples=1)


def test_truth_values_are_zero_and_one(tmp_path):
    stars = IMAGES[..., :1] > 127
    data = loaded(save_npz(tmp_path / "stars.npz", x_train=stars, x_test=stars[:3]))
    scaled = in_memory(data, DataSettings(), dtype=torch.float32, device=torch.device("cpu"))
    assert set(scaled.scaling(scaled.train.inputs).unique().tolist()) == {0.0, 1.0}


def test_class_names_of_bytes_are_text(tmp_path):
    names = np.array([b"cat", b"dog", b"fox"])
    assert loaded(save_npz(tmp_path / "named.npz", class_names=names)).class_names == ("cat", "dog", "fox")


def test_sixteen_bits_become_eight(tmp_path):
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    for part in ("train", "test"):
        for name in ("a", "b"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            Image.fromarray(deep).save(folder / "0.png")
    data = loaded(f"images:{tmp_path}")
    np.testing.assert_array_equal(data.train.inputs[0, :, :, 0], (deep / 257).round())


@pytest.mark.parametrize(
    ("augment", "changes", "message"),
    [
        ("report", {"x_train": IMAGES.astype(np.float32)}, r"clips to \[0, 1\], and these .* reach from 0 to 255"),
        ("report", {"x_train": np.zeros((6, 5), np.float32)}, "is for images"),
        ("keras-resnet", {"x_train": np.zeros((6, 5), np.float32)}, "is for images"),
    ],
)
def test_augmentations_refuse_what_they_cannot_augment(tmp_path, augment, changes, message):
    test = {"x_test": changes["x_train"][:3]}
    data = loaded(save_npz(tmp_path / "data.npz", **changes, **test))
    check_augmentation("none", data)
    with pytest.raises(DataError, match=message):
        check_augmentation(augment, data)


def test_npz_gives_its_arrays(tmp_path):
    data = loaded(save_npz(tmp_path / "d.npz", class_names=np.array(["cat", "dog", "<b>"])))
    np.testing.assert_array_equal(data.train.inputs, IMAGES)
    np.testing.assert_array_equal(data.test.labels, LABELS[:3])
    assert data.class_names == ("cat", "dog", "<b>")
    assert data.brightest == 255


def test_grey_images_labels_in_columns_and_wide_integers_are_understood(tmp_path):
    source = save_npz(
        tmp_path / "d.npz", x_train=IMAGES[..., 0].astype(np.int64), x_test=IMAGES[:3, ..., 0].astype(np.int64),
        y_train=LABELS[:, None], y_test=LABELS[:3, None].astype(np.uint8),
    )  # fmt: skip
    data = loaded(source)
    assert data.train.inputs.dtype == np.uint8
    assert data.input_shape == (8, 8, 1)
    assert data.train.labels.tolist() == LABELS.tolist()


def test_floats_are_used_as_they_are(tmp_path):
    data = loaded(save_npz(tmp_path / "d.npz", x_train=IMAGES * 3.5, x_test=IMAGES[:3] * 3.5))
    assert data.brightest == 1
    tensors = in_memory(data, DataSettings(), dtype=torch.float32, device=torch.device("cpu"))
    np.testing.assert_allclose(tensors.scaling(tensors.train.inputs).permute(0, 2, 3, 1), IMAGES * 3.5)


with_nan = IMAGES.astype(np.float32)
with_nan[4, 2, 2, 0] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": with_nan}, "image 4 holds a value that is not a finite number"),
        ({"y_train": LABELS[:5]}, "6 training images came with 5 labels"),
        ({"y_train": np.zeros(6, int)}, "all training labels are 0; a classifier needs at least two classes"),
        ({"x_train": np.array([np.zeros(2), np.zeros(3)], dtype=object)}, "x_train is an array of Python objects"),
        ({"y_train": LABELS.astype(object)}, "y_train is an array of Python objects"),
        ({"y_test": np.array([0, 1, 3])}, "a test label is 3, but the 3 classes are numbered from 0"),
        ({"y_train": LABELS - 1}, "a training label is -1"),
        ({"class_names": np.array(["a", "b"])}, "a training label is 2, but the 2 classes"),
        ({"class_names": np.array(["a", "b", "a"])}, "two classes have the same name"),
        ({"y_train": LABELS + 0.5}, "labels came as float64"),
        ({"x_test": IMAGES[:3, :4]}, r"shape \(8, 8, 3\) and test images \(4, 8, 3\)"),
        ({"x_test": IMAGES[:3].astype(np.float32)}, "training images are uint8 and test images float32"),
        ({"x_train": IMAGES.astype(int) * 2}, "integer images must lie between 0 and 255"),
        ({"x_test": IMAGES[:0], "y_test": LABELS[:0]}, "there are no test images"),
        ({"x_test": None}, r"has no x_test; it holds x_train, y_train, y_test"),
        ({"x_train": np.moveaxis(IMAGES, -1, 1), "x_test": np.moveaxis(IMAGES[:3], -1, 1)}, "numpy.moveaxis"),
        ({"x_train": np.arange(6)}, r"\(example, ...\) is needed"),
        ({"x_train": np.array(["a"] * 6)}, "numbers are needed"),
    ],
)
def test_bad_arrays_are_refused_with_a_reason(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        loaded(save_npz(tmp_path / "d.npz", **changes))


def test_missing_and_cut_npz_files(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        loaded(f"npz:{tmp_path}/none.npz")
    save_npz(tmp_path / "d.npz")
    whole = (tmp_path / "d.npz").read_bytes()
    for kept in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "d.npz").write_bytes(whole[:kept])
        with pytest.raises(DataError, match=r"d\.npz"):
            loaded(f"npz:{tmp_path}/d.npz")
    (tmp_path / "d.npz").write_bytes(b"no archive at all")
    with pytest.raises(DataError, match=r"d\.npz"):
        loaded(f"npz:{tmp_path}/d.npz")
    np.save(tmp_path / "single.npy", IMAGES)
    with pytest.raises(DataError, match="is no .npz archive"):
        loaded(f"npz:{tmp_path}/single.npy")


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    trap = np.empty(6, dtype=object)
    trap[:] = [Trap()] * 6
    with pytest.raises(DataError, match="never read"):
        loaded(save_npz(tmp_path / "d.npz", y_train=trap))
    assert not (tmp_path / "sprung").exists()


def as_tuple():
    return IMAGES, LABELS, IMAGES[:3], LABELS[:3]


def as_mapping():
    return {**dict(zip(("x_train", "y_train", "x_test", "y_test"), as_tuple(), strict=True)), "class_names": "abc"}


def too_little():
    return {"x_train": IMAGES}


def failing():
    raise RuntimeError("no disk today")


def nothing():
    return None


def test_functions_of_the_users():
    assert loaded("test_data:as_tuple").class_names == ("0", "1", "2")
    assert loaded("test_data:as_mapping").class_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("test_data:too_little", "returned no y_train, x_test, y_test"),
        ("test_data:failing", "failed with RuntimeError: no disk today"),
        ("test_data:nothing", "returned NoneType"),
        ("test_data:missing", "cannot be imported: AttributeError"),
        ("no.such.module:f", "cannot be imported: ModuleNotFoundError"),
        ("digit", "'digit' is no data source. Those are digits, hf:REPO"),
        ("parkett:some/folder", "'parkett' is no kind of data source"),
    ],
)
def test_functions_and_sources_that_do_not_work(source, message):
    with pytest.raises(DataError, match=message):
        loaded(source)


# --- encoded images -----------------------------------------------------------------------------------------------


def test_parquet_decodes_to_the_pixels(tmp_path):
    data = loaded(save_parquet(tmp_path / "p", names=["cat", "dog", "owl"]))
    np.testing.assert_array_equal(data.train.inputs, IMAGES)
    assert data.class_names == ("cat", "dog", "owl")
    assert isinstance(data.train.inputs.base, np.memmap) or isinstance(data.train.inputs, np.memmap)


def test_parquet_takes_image_and_fine_label_and_grey(tmp_path):
    data = loaded(save_parquet(tmp_path / "p", images=IMAGES[..., :1], image="image", label="fine_label"))
    np.testing.assert_array_equal(data.train.inputs, IMAGES[..., :1])


def test_images_are_decoded_once_and_a_cut_cache_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("MODESCOPE_CACHE", str(tmp_path / "cache"))
    source = save_parquet(tmp_path / "p")
    first = loaded(source)
    monkeypatch.setattr("modescope.data.hub.decode_images", None)  # would fail if it were called
    assert loaded(source).fingerprint == first.fingerprint
    monkeypatch.undo()
    monkeypatch.setenv("MODESCOPE_CACHE", str(tmp_path / "cache"))
    (kept,) = cache_folder().iterdir()
    array = kept / "train_inputs.npy"
    array.write_bytes(array.read_bytes()[:-100])
    assert loaded(source).fingerprint == first.fingerprint


def test_another_content_is_another_cache_entry(tmp_path):
    first = loaded(save_parquet(tmp_path / "p"))
    second = loaded(save_parquet(tmp_path / "p", images=IMAGES[::-1]))
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(("kept", "message"), [(0.5, "is damaged or cut short"), (0, "is damaged or cut short")])
def test_cut_parquet_is_named(tmp_path, kept, message):
    source = save_parquet(tmp_path / "p")
    file = tmp_path / "p" / "test-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    with pytest.raises(DataError, match=rf"test-00000-of-00001\.parquet {message}"):
        loaded(source)


def test_missing_parquet_parts_and_columns(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        loaded(f"parquet:{tmp_path}/none")
    source = save_parquet(tmp_path / "p", label="kind")
    with pytest.raises(DataError, match="has no column label or fine_label; its columns are img, kind"):
        loaded(source)
    (tmp_path / "p" / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match=r"there is no test-\*\.parquet in it"):
        loaded(source)


def test_bytes_that_are_no_image_are_named_and_leave_no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MODESCOPE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "p"
    save_parquet(folder)
    cells = [{"bytes": b"not an image", "path": None}, {"bytes": png(IMAGES[0]), "path": None}]
    pq.write_table(pa.table({"img": cells, "label": [0, 1]}), folder / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match="image 0 of train is not an image that can be decoded"):
        loaded(f"parquet:{folder}")
    assert not list((tmp_path / "cache").iterdir())


def test_folders_of_images(tmp_path):
    for part, count in (("train", 6), ("test", 3)):
        for index in range(count):
            folder = tmp_path / part / "cdo"[LABELS[index]]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{index}.png").write_bytes(png(IMAGES[index]))
            (folder / "notes.txt").write_text("not an image, and not looked at")
    data = loaded(f"images:{tmp_path}")
    assert data.class_names == ("c", "d", "o")
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(data.train.inputs, IMAGES[[0, 3, 1, 4, 2, 5]])

    (tmp_path / "test" / "owl").mkdir()
    with pytest.raises(DataError, match="test has the classes owl, which train has not"):
        loaded(f"images:{tmp_path}")
    (tmp_path / "test" / "owl").rmdir()
    (tmp_path / "train" / "c" / "9.png").write_bytes(png(IMAGES[0][:5]))
    with pytest.raises(DataError, match=r"9\.png is 8 x 5 pixels, .*0\.png is 8 x 8"):
        loaded(f"images:{tmp_path}")
    with pytest.raises(DataError, match="needs two folders, train and test"):
        loaded(f"images:{tmp_path / 'train'}")


def test_the_hub_without_a_network_is_one_sentence_with_the_way_out(tmp_path, monkeypatch):
    import httpx2
    from huggingface_hub import HfApi

    def unreachable(*_, **__):
        raise httpx2.ConnectError("Name or service not known")

    monkeypatch.setattr(HfApi, "dataset_info", unreachable)
    with pytest.raises(DataError, match="could not be fetched from the Hugging Face hub") as caught:
        loaded("hf:nobody/has-this")
    assert "data.source=parquet:DIR" in str(caught.value)
    assert str(caught.value).count(". ") == 0


def test_a_hub_data_set_is_read_as_its_parquet_files_are(tmp_path, monkeypatch):
    import datasets

    source = save_parquet(tmp_path / "p", names=["cat", "dog", "owl"])
    parts = {}
    for part, count in (("train", 6), ("test", 3)):
        features = datasets.Features(img=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog", "owl"]))
        columns = {"img": [{"bytes": png(image), "path": None} for image in IMAGES[:count]], "label": LABELS[:count]}
        parts[part] = datasets.Dataset.from_dict(columns, features=features)
    asked = []
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *_, **__: None)
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *arguments: asked.append(arguments) or datasets.DatasetDict(parts)
    )
    assert loaded("hf:some/data:plain").fingerprint == loaded(source).fingerprint
    assert asked == [("some/data", "plain")]


def test_real_cifar10(cifar10):
    data = loaded(f"parquet:{cifar10}")
    assert (len(data.train), len(data.test), data.input_shape) == (50_000, 10_000, (32, 32, 3))
    assert np.bincount(data.train.labels).tolist() == [5000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    assert 115 < data.train.inputs[:2000].mean() < 127  # CIFAR-10's mean brightness is 121 of 255


# --- in memory ----------------------------------------------------------------------------------------------------


def test_scaling_is_what_its_name_says():
    arrays = checked((IMAGES, LABELS), (IMAGES[:3], LABELS[:3]), class_names=None, source="here")
    assert arrays.class_names == ("0", "1", "2")
    data = loaded("test_data:as_tuple")
    for scaling, expected in (
        ("raw", IMAGES.astype(np.float64)),
        ("unit", IMAGES / 255),
        ("centred", IMAGES / 255 - (IMAGES / 255).mean(axis=0)),
    ):
        tensors = in_memory(data, DataSettings(scaling=scaling), dtype=torch.float64, device=torch.device("cpu"))
        given = tensors.scaling(tensors.train.inputs)
        np.testing.assert_allclose(given, expected.transpose(0, 3, 1, 2), atol=1e-12)
        assert given.is_contiguous(memory_format=torch.channels_last)
        assert tensors.train.inputs.dtype == torch.uint8


def test_digits_become_numbers_from_zero_to_one():
    tensors = in_memory(loaded("digits"), DataSettings(), dtype=torch.float32, device=torch.device("cpu"))
    given = tensors.scaling(tensors.train.inputs)
    assert given.shape == (1000, 1, 8, 8)
    assert (given.min(), given.max()) == (0, 1)
