"""The Oxford-IIIT Pet dataset: lists, breeds, species, and trimaps as masks."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.data import OxfordPet

HEAD = "#Image CLASS-ID SPECIES BREED ID\n"
TRAIN = ["Abyssinian_100 1 1 1", "american_bulldog_2 2 2 1", "Abyssinian_1 1 1 1", "basset_hound_7 3 2 2"]
TEST = ["basset_hound_1 3 2 2", "Abyssinian_9 1 1 1"]
SIZES = [(20, 30), (41, 23), (16, 16), (33, 50), (12, 40), (24, 24)]  # height, width


def trimap(height: int, width: int) -> np.ndarray:
    """The pet (1) on the left third, the border (3) in the middle, the background (2) on the right."""
    columns = np.full(width, 2, np.uint8)
    columns[: 2 * width // 3] = 3
    columns[: width // 3] = 1
    return np.tile(columns, (height, 1))


def write(root, train=TRAIN, test=TEST):
    """Images whose colour is their trimap's: 60 for the pet, 180 for the border, 120 for the background."""
    (root / "images").mkdir(parents=True)
    (root / "annotations" / "trimaps").mkdir(parents=True)
    (root / "annotations" / "trainval.txt").write_text(HEAD + "\n".join(train) + "\n")
    (root / "annotations" / "test.txt").write_text("\n".join(test) + "\n")
    for line, size in zip([*TRAIN, *TEST], SIZES, strict=True):
        name, values = line.split()[0], trimap(*size)
        Image.fromarray(np.repeat(values[..., None] * 60, 3, 2)).save(root / f"images/{name}.jpg", quality=95)
        Image.fromarray(values).save(root / f"annotations/trimaps/{name}.png")


def pets(tmp_path, **settings):
    return load(OxfordPet(source="oxford_pet", path="pets", resize=24, **settings), tmp_path)


def test_breeds_in_the_authors_order_and_splits(tmp_path):
    write(tmp_path / "pets")
    data = pets(tmp_path)
    assert data.classes == ("Abyssinian", "american_bulldog", "basset_hound")
    assert data.y.tolist() == [0, 1, 0, 2, 2, 0]
    assert {name: part.tolist() for name, part in data.given.items()} == {"train": [0, 1, 2, 3], "test": [4, 5]}
    assert data.files is not None
    assert data.files[1] == "images/american_bulldog_2.jpg"
    assert (data.x.shape, data.x.dtype) == ((6, 24, 24, 3), np.uint8)


def test_species(tmp_path):
    write(tmp_path / "pets")
    data = pets(tmp_path, labels="species")
    assert (data.classes, data.y.tolist()) == (("cat", "dog"), [0, 1, 0, 1, 1, 0])


@pytest.mark.parametrize(
    ("border", "names", "ids"),
    [("ignore", ("background", "pet"), (0, 1, 255)), ("class", ("background", "pet", "border"), (0, 1, 2))],
)
def test_masks_lie_on_their_images(tmp_path, border, names, ids):
    write(tmp_path / "pets")
    data = pets(tmp_path, border=border)
    mask = data.targets["mask"]
    assert (mask.names, mask.values.dtype, mask.values.shape) == (names, np.uint8, (6, 24, 24))
    np.testing.assert_array_equal(np.unique(mask.values), sorted(ids))
    # what the image shows, away from the edges, which resizing makes soft
    shown = data.x.astype(int).mean(-1)
    for value, colour in zip((ids[1], ids[0], ids[2]), (60, 120, 180), strict=True):
        inside = mask.values == value
        assert np.median(np.abs(shown[inside] - colour)) < 5
    assert (mask.values[:, :, 0] == 1).all()
    assert (mask.values[:, :, -1] == 0).all()


def test_the_mask_is_the_nearest_pixel(tmp_path):
    write(tmp_path / "pets")
    values = pets(tmp_path, border="class").targets["mask"].values
    ids = np.array([0, 1, 0, 2])
    for mask, (height, width) in zip(values, SIZES, strict=True):
        rows, columns = (
            ((np.arange(24) + 0.5) * height / 24).astype(int),
            ((np.arange(24) + 0.5) * width / 24).astype(int),
        )
        np.testing.assert_array_equal(mask, ids[trimap(height, width)[rows][:, columns]])


def test_a_mask_turns_with_its_image(tmp_path):
    write(tmp_path / "pets")
    path = tmp_path / "pets" / "images" / "Abyssinian_100.jpg"
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6  # turned by a quarter: the left side is the upper one
        image.save(path, exif=exif, quality=95)
    data = pets(tmp_path)
    assert (data.targets["mask"].values[0, 0] == 1).all()
    assert (data.targets["mask"].values[0, -1] == 0).all()
    assert abs(int(data.x[0, 0].mean()) - 60) < 5


def test_images_of_many_sizes_need_a_size(tmp_path):
    write(tmp_path / "pets")
    with pytest.raises(DataError, match=r"Abyssinian_100.jpg is 20 x 30 .*; add data.resize"):
        load(OxfordPet(source="oxford_pet", path="pets"), tmp_path)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            ["Abyssinian_100 1 1"],
            "trainval.txt: line 2 is 'Abyssinian_100 1 1', and 'name class species breed' is wanted",
        ),
        (["Abyssinian_100 one 1 1"], "line 2 is"),
        (["../../evil 1 1 1"], "line 2 is"),
        (["Abyssinian_100 0 1 1"], "line 2 has the class 0 and the species 1; classes count from 1"),
        (["Abyssinian_100 1 3 1"], "line 2 has the class 1 and the species 3"),
        (["Abyssinian_100 1 1 1", "Bengal_1 1 1 1"], "the class 1 is Abyssinian and, of Bengal_1, Bengal"),
        (["Abyssinian_100 1 1 1", "Bengal_1 5 1 1"], "no image has the class 2, and some have 5"),
        ([], "trainval.txt: it names no image"),
        (["Abyssinian_8 1 1 1", *TRAIN], "images/Abyssinian_8.jpg: cannot read the image: "),
    ],
)
def test_lists_that_are_damaged(tmp_path, train, message):
    write(tmp_path / "pets", train)
    with pytest.raises(DataError) as raised:
        pets(tmp_path)
    assert message in str(raised.value)


def test_masks_that_are_damaged(tmp_path):
    write(tmp_path / "pets")
    path = tmp_path / "pets" / "annotations" / "trimaps" / "Abyssinian_100.png"
    Image.fromarray(np.full((20, 30), 4, np.uint8)).save(path)
    with pytest.raises(DataError, match=r"trimaps/Abyssinian_100.png: has the value 4; 1 is the pet, 2 the background"):
        pets(tmp_path)
    Image.fromarray(np.ones((30, 20), np.uint8)).save(path)
    with pytest.raises(DataError, match=r"Abyssinian_100.png: is 30 x 20 \(height x width\), and its image 20 x 30"):
        pets(tmp_path)
    Image.fromarray(np.ones((20, 30), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=r"Abyssinian_100.png: cannot read the mask: .*; copy or download it again"):
        pets(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"Abyssinian_100.png: cannot read the mask: .*No such file"):
        pets(tmp_path)


def test_no_lists(tmp_path):
    (tmp_path / "pets").mkdir()
    with pytest.raises(DataError, match=r"pets/annotations/trainval.txt: cannot be read: No such file or directory"):
        pets(tmp_path)
