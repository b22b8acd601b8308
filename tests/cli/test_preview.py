"""`cnnlab data preview`: the file that it writes, and what it refuses."""

import io

from PIL import Image


def test_a_sheet_is_written(cnnlab, small):
    assert cnnlab("data", "preview", small, "-o", "sheet.png", "--examples", 3, "--versions", 2) == (
        0,
        "sheet.png\n",
        "",
    )
    first = (small.parent / "sheet.png").read_bytes()
    assert Image.open(io.BytesIO(first)).format == "PNG"
    assert cnnlab("data", "preview", small, "-o", "again.png", "--examples", 3, "--versions", 2).code == 0
    assert (small.parent / "again.png").read_bytes() == first
    other = ("data.augment=[cutout: 3]", "-o", "other.png", "--examples", 3, "--versions", 2)
    assert cnnlab("data", "preview", small, *other).code == 0
    assert (small.parent / "other.png").read_bytes() != first


def test_what_cannot_be_previewed(cnnlab, small):
    ended = cnnlab("data", "preview", small, "-o", "sheet.jpg")
    assert ended == (2, "", "sheet.jpg: '.jpg' is no kind of picture that can be drawn; name a .png or .svg file\n")
    (small.parent / "bare.yaml").write_text("model: {name: lenet5}")
    ended = cnnlab("data", "preview", "bare.yaml", "-o", "sheet.png")
    assert (ended.code, ended.err) == (
        2,
        "bare.yaml: the spec has no data; give data.source; 'cnnlab list sources' shows all\n",
    )
    ended = cnnlab("data", "preview", small, "data.augment=[random_crop: 4]")
    assert (ended.code, ended.out) == (2, "")
    assert "training ends with examples of 4 x 4, and evaluation sees 6 x 6; give data.crop: [4, 4]" in ended.err
    assert sorted(path.name for path in small.parent.iterdir()) == ["bare.yaml", "small.npz", "small.yaml"]
