"""Label files in Pascal VOC's XML."""

import pytest

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.data import ImageFolder
from tests.data.boxed import SCENES, rows, write_images, write_voc

WHOLE = {  # pixels are
    name: (size, [(round(y0), round(x0), round(y1), round(x1), label) for y0, x0, y1, x1, label in boxes])
    for name, (size, boxes) in SCENES.items()
}


def read(place, **keys):
    return load(ImageFolder(source="image_folder", path="photos", boxes="said", resize=8, **keys), place)


@pytest.fixture
def place(tmp_path):
    write_images(tmp_path / "photos", WHOLE)
    write_voc(tmp_path / "said", WHOLE)
    return tmp_path


def test_names_are_all_that_occur(place):
    data = read(place)
    assert data.targets["boxes"].names == ("cat", "cow", "dog")
    assert rows(data.targets["boxes"].values[1]) == [[0, 0, 8, 8, 2]]
    assert data.targets["labels"].values.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert read(place, box_classes=("dog", "cow", "cat")).targets["boxes"].values[1, 0, -1] == 0


BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]>'
OBJECT = "<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{BOMB}<annotation>&y;</annotation>", ": cannot be read: it declares entities, which no annotation needs"),
        ("<annotation>\n<object>", ": cannot be read: no element found: line 2, column 8"),
        ("", ": cannot be read: no element found: line 1, column 0"),
        (f"<annotation>\n{OBJECT.replace('xmax', 'right')}</annotation>", ":2: an object without xmax"),
        (f"<annotation>\n{OBJECT.replace('9', 'nine')}</annotation>", ":2: ymax is 'nine', and no number"),
        (f"<annotation>\n\n{OBJECT.replace('9', 'nan')}</annotation>", ":3: the box has a number that is NaN or"),
        (f"<annotation>{OBJECT.replace('cat', 'ca')}</annotation>", ":1: no class 'ca'; did you mean 'cat'?"),
        (f"<annotation>{OBJECT.replace('9', '90')}</annotation>", ":1: the box goes from x 0 to 90 and y 0 to 90, and"),
        ("<annotation><size><width>30</width><height>40</height></size></annotation>",
         ": the annotation says that a.png is 40 x 30 (height x width), and it is 30 x 40; boxes lie in the image "
         "turned as its EXIF data say"),
        ("<annotation><size><width>40</width><height>31</height></size></annotation>",
         ": the annotation says that a.png is 31 x 40 (height x width), and it is 30 x 40; boxes would lie elsewhere"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(place, text, sentence):
    (place / "said/a.xml").write_text(text)
    with pytest.raises(DataError) as error:
        read(place, box_classes=("cat", "dog", "cow"))
    assert str(error.value).startswith(f"said/a.xml{sentence}")
    assert "a.png" not in (read(place, on_bad_file="skip", box_classes=("cat", "dog", "cow")).files or ())


def test_no_entity_reads_a_file(place):
    (place / "secret").write_text("cat")
    outside = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{place}/secret">]>'
    (place / "said/a.xml").write_text(f"{outside}<annotation>{OBJECT.replace('cat', '&x;')}</annotation>")
    with pytest.raises(DataError, match="it declares entities"):
        read(place)


def test_sizes_of_0_are_none(place):
    text = f"<annotation><size><width>0</width><height>0</height></size>{OBJECT}</annotation>"
    (place / "said/a.xml").write_text(text)
    assert len(rows(read(place).targets["boxes"].values[0])) == 1
