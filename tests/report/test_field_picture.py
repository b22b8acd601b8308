"""What the pictures of receptive fields show, read from the drawn figure, and that they are good files."""

import io
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from cnnlab.errors import CnnlabError
from cnnlab.receptive_field.concentration import gaussian, held
from cnnlab.receptive_field.effective import SHARES, Change, EffectiveField
from cnnlab.report import field_change, field_picture, field_signal
from cnnlab.report.field_boxes import Box, canvas, chosen, colours, parts, view
from cnnlab.report.field_change import change_picture
from cnnlab.report.field_heat import level_of, smoothed
from cnnlab.report.field_picture import field_picture as picture
from cnnlab.report.style import picture_kind

NESTED = (Box("conv3", (-4, -2), (18, 20)), Box("conv1", (6, 8), (8, 10)), Box("conv2", (3, 5), (11, 13)))


def effective_of(*sigma: float, size: int = 30) -> EffectiveField:
    """A Gaussian with some noise."""
    shares = np.ones(())
    for s in sigma:
        shares = np.multiply.outer(shares, np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * s**2)))
    shares *= np.random.default_rng(0).uniform(0.9, 1.1, shares.shape)
    shares /= shares.sum()
    center = (float(size // 2),) * len(sigma)
    found = tuple(held(shares, center, share) for share in SHARES)
    return EffectiveField("conv3", (3,) * len(sigma), center, shares, 32, 8, 0, found, gaussian(shares))


@pytest.fixture
def drawn(monkeypatch):
    """Call a picture and get its figure, drawn while our style holds."""

    def draw(function, *arguments, **options):
        caught = []

        def catch(figure, kind, *, tight):
            assert (kind, tight) == ("png", True)
            figure.draw_without_rendering()
            caught.append(figure)
            return b""

        with monkeypatch.context() as patch:
            for module in (field_picture, field_signal, field_change):
                patch.setattr(module, "rendered", catch)
            function(*arguments, "png", title="a title of $x$ and _y", **options)
        return caught[0]

    return draw


def strokes(axes, colour: str) -> dict[str, set[tuple[float, ...]]]:
    """The lines of a colour by their style, as (x0, y0, x1, y1)."""
    found: dict[str, set[tuple[float, ...]]] = {"-": set(), "--": set()}
    for line in axes.lines:
        if to_hex(line.get_color()) == colour:
            found[line.get_linestyle()].add(tuple(np.array(line.get_xydata()).ravel().tolist()))
    return found


def notes(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


# ---------------------------------------------------------------- boxes


def test_a_box_is_solid_in_the_image_and_dashed_beyond(drawn):
    axes = drawn(picture, NESTED, (16, 24)).axes[0]
    inner, middle, outer = colours(3)
    square = {(7.5, 5.5, 10.5, 5.5), (7.5, 8.5, 10.5, 8.5), (7.5, 5.5, 7.5, 8.5), (10.5, 5.5, 10.5, 8.5)}
    assert strokes(axes, inner) == {"-": square, "--": set()}
    assert len(strokes(axes, middle)["-"]) == 4
    # Rows -4 to 18 of 16 and columns -2 to 20 of 24: only the right side crosses the image.
    left, right, top, bottom = -2.5, 20.5, -4.5, 18.5
    assert strokes(axes, outer) == {
        "-": {(right, -0.5, right, 15.5)},
        "--": {
            (left, top, right, top),
            (left, bottom, right, bottom),
            (left, top, left, bottom),
            (right, top, right, -0.5),
            (right, 15.5, right, bottom),
        },
    }
    assert axes.get_xlim()[0] < left
    assert axes.get_ylim()[0] > bottom
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "row 0 is above"
    assert notes(axes) == ["a title of $x$ and _y", "input 16x24; dashed: beyond its border"]


def test_an_edge_on_the_image_s_border_is_inside(drawn):
    axes = drawn(picture, [Box("all", (0, 0), (15, 15))], (16, 16)).axes[0]
    assert not strokes(axes, colours(1)[0])["--"]


def test_the_legend_has_sizes_and_names_from_the_outside_in(drawn):
    axes = drawn(picture, [*NESTED, Box("a" * 30 + "." + "b" * 30, (0, 0), (5, 5))], (16, 24)).axes[0]
    labels = [text.get_text().split() for text in axes.get_legend().get_texts()]
    assert labels == [["23x23", "conv3"], ["9x9", "conv2"], ["6x6", "a" * 14 + "…" + "b" * 29], ["3x3", "conv1"]]
    extents = [text.get_window_extent() for text in axes.get_legend().get_texts()]
    assert all(above.y0 >= below.y1 for above, below in pairwise(extents))
    assert min(extent.x0 for extent in extents) > axes.get_window_extent().x1


def test_a_box_that_is_far_larger_than_the_image_is_out_of_sight(drawn):
    axes = drawn(picture, [NESTED[1], Box("far", (-200, -200), (230, 230))], (16, 24)).axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [label.endswith("far, out of sight") for label in labels] == [True, False]
    assert axes.get_xlim() == pytest.approx((-24.5 - 0.02 * 72, 47.5 + 0.02 * 72))


def test_holes_are_left_out_of_the_shade(drawn):
    every_second = np.array([True, False, True])
    axis_wise = Box("dilated", (4, 4), (6, 6), (every_second, every_second))
    in_full = Box("dilated", (4, 4), (6, 6), np.logical_and.outer(every_second, every_second))
    for box in (axis_wise, in_full):
        axes = drawn(picture, [box], (10, 10)).axes[0]
        (shade,) = axes.images
        assert shade.get_extent() == [3.5, 6.5, 6.5, 3.5]
        np.testing.assert_array_equal(shade.get_array()[..., 3] > 0, in_full.mask())
        assert "the positions that are seen" in [text.get_text() for text in axes.get_legend().get_texts()]
    solid = drawn(picture, [Box("whole", (4, 4), (6, 6), np.ones((3, 3), bool))], (10, 10)).axes[0]
    assert not solid.images


def test_a_small_field_in_a_large_image_is_drawn_large_with_an_overview(drawn):
    figure = drawn(picture, [Box("conv", (100, 50), (106, 56))], (224, 224), image=np.zeros((224, 224, 3), np.uint8))
    (axes,) = figure.axes
    assert axes.get_xlim() == pytest.approx((49.5 - 4.2, 56.5 + 4.2))
    assert notes(axes)[1] == "input 224x224, around the boxes alone"
    (overview,) = axes.child_axes
    assert overview.get_xlim() == (-0.5, 223.5)
    assert overview.patches[0].get_xy() == pytest.approx((45.3, 95.3))
    assert overview.get_window_extent().width == pytest.approx(1.2 * figure.dpi, rel=1e-3)


def test_a_few_boxes_of_many():
    boxes = [Box(f"layer{n}", (50 - n // 2,), (50 + n // 2,)) for n in range(40)]  # in pairs
    few = chosen(boxes, 5)
    assert [box.path for box in few] == ["layer0", "layer10", "layer20", "layer28", "layer38"]
    assert [box.path for box in chosen(boxes[:5])] == ["layer0", "layer2", "layer4"]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((2, 5), [((2, 5), True)]),
        ((-3, 5), [((-3, 0), False), ((0, 5), True)]),
        ((-3, 12), [((-3, 0), False), ((0, 10), True), ((10, 12), False)]),
        ((-5, -2), [((-5, -2), False)]),
        ((0, 10), [((0, 10), True)]),
    ],
)
def test_spans_are_cut_at_the_border(span, expected):
    assert parts(span, (0, 10)) == expected


def test_the_view_holds_the_image_and_the_boxes_up_to_its_own_length():
    ((low, high),) = view([Box("", (-5,), (99,))], (100,))
    assert (low, high) == pytest.approx((-5.5 - 2.1, 99.5 + 2.1))
    ((low, high),) = view([Box("", (-500,), (900,))], (100,))
    assert (low, high) == pytest.approx((-100.5 - 6, 199.5 + 6))


# ---------------------------------------------------------------- images and gradients


def test_images_of_any_kind_of_numbers():
    grey = np.array([[0, 51], [102, 255]], np.uint8)
    np.testing.assert_allclose(canvas(grey, (2, 2), pale=False), grey / 255)
    np.testing.assert_allclose(canvas(grey * 4.0 - 9, (2, 2), pale=False), (grey * 4.0) / np.max(grey * 4.0))
    np.testing.assert_allclose(canvas(np.full((2, 2), 7.0), (2, 2), pale=False), 0)
    colour = np.stack([grey, grey, grey], -1)
    assert canvas(colour, (2, 2), pale=False).shape == (2, 2, 3)
    np.testing.assert_allclose(canvas(colour, (2, 2), pale=True), 0.55 + 0.45 * grey / 255)
    np.testing.assert_allclose(canvas(colour[..., :2], (2, 2), pale=False), grey / 255)
    assert canvas(None, (2, 2), pale=True) is None


def test_the_gradient_lies_over_the_image(drawn):
    found = effective_of(3, 5)
    axes = drawn(picture, [Box("conv3", (3, 0), (27, 29))], (30, 30), effective=found).axes[0]
    (heat,) = axes.images
    np.testing.assert_array_equal(heat.get_array(), found.map)
    assert heat.get_clim() == (0, found.map.max())
    inside = [path.contains_point((15, 15)) for contour in axes.collections for path in contour.get_paths()]
    assert inside == [True, True]
    half, most = (contour.get_paths()[0].get_extents() for contour in axes.collections)
    # In two dimensions half of a Gaussian lies within 1.177 sigma, and 95 % within 2.448; the blur adds a little.
    assert (half.width / 2, half.height / 2) == pytest.approx((1.177 * 5, 1.177 * 3), rel=0.12)
    assert (most.width / 2, most.height / 2) == pytest.approx((2.448 * 5, 2.448 * 3), rel=0.12)
    assert "gradient of conv3: sigma 3" in notes(axes)[1]


def test_smoothing_keeps_the_whole_and_stays_where_there_was_something():
    shares = np.zeros((40, 50))
    shares[10:30, 5:45] = np.random.default_rng(0).random((20, 40))
    smooth = smoothed(shares)
    np.testing.assert_array_equal(smooth[:10], 0)
    np.testing.assert_array_equal(smooth[:, 45:], 0)
    assert smooth[10:30, 5:45].std() < 0.5 * shares[10:30, 5:45].std()
    assert smooth.sum() == pytest.approx(shares.sum(), rel=0.15)
    assert level_of(np.array([1.0, 4, 2, 3]), 0.6) == 3


# ---------------------------------------------------------------- signals and volumes


def test_a_signal_has_bars(drawn):
    boxes = [Box("long", (-20,), (60,)), Box("short", (18,), (22,), (np.array([1, 0, 1, 0, 1], bool),))]
    wave = np.sin(np.arange(50) / 5)[:, None]
    top, shares, bars = drawn(picture, boxes, (50,), image=wave, effective=effective_of(4, size=50)).axes
    np.testing.assert_array_equal(top.lines[0].get_ydata(), wave[:, 0])
    assert [label.get_text() for label in bars.get_yticklabels()] == ["short", "long"]
    spans = {(patch.get_x(), patch.get_width(), patch.get_facecolor()[3] > 0) for patch in bars.patches}
    assert spans >= {(-20.5, 20.0, False), (-0.5, 50.0, True), (49.5, 11.0, False)}
    assert spans >= {(17.5, 1, True), (19.5, 1, True), (21.5, 1, True)}
    assert not {(18.5, 1, True), (20.5, 1, True)} & spans
    assert top.get_xlim() == shares.get_xlim() == bars.get_xlim()
    assert notes(top) == ["a title of $x$ and _y", "input of 50 positions; dashed: beyond its border"]


def test_a_long_signal_is_shown_whole_and_near(drawn):
    boxes = [Box(f"conv{k}", (8000 - k,), (8000 + k,)) for k in (1, 10, 512)]
    whole, bars = drawn(picture, boxes, (16000,)).axes
    assert whole.get_xlim() == (-0.5, 15999.5)
    assert bars.get_xlim() == pytest.approx((7487.5 - 615, 8512.5 + 615))
    assert "2,000" in [label.get_text() for label in whole.get_xticklabels()]


def test_a_volume_has_three_slices(drawn):
    boxes = [Box("conv", (1, 5, 9), (3, 9, 15)), Box("more", (0, 0, 0), (7, 15, 31))]
    volume = np.random.default_rng(0).random((8, 16, 32, 1))
    figure = drawn(picture, boxes, (8, 16, 32), image=volume)
    assert [(a.get_ylabel(), a.get_xlabel()) for a in figure.axes] == [
        ("axis 1", "axis 2"),
        ("axis 0", "axis 2"),
        ("axis 0", "axis 1"),
    ]
    values = (volume[..., 0] - volume.min()) / (volume.max() - volume.min())
    slices = (values[2], values[:, 7], values[:, :, 12])
    for axes, expected in zip(figure.axes, slices, strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), expected)
    widths = [abs(np.subtract(*a.get_xlim())) / a.get_window_extent().width for a in figure.axes]
    assert widths == pytest.approx([widths[0]] * 3), "all at one scale"


# ---------------------------------------------------------------- over training


def test_two_maps_at_one_scale(drawn):
    change = Change(effective_of(2, 2), effective_of(4, 3))
    first, second = drawn(change_picture, change).axes
    for axes, field in ((first, change.initial), (second, change.trained)):
        np.testing.assert_array_equal(axes.images[0].get_array(), field.map)
        assert axes.images[0].get_clim() == (0, change.initial.map.max())
        assert len(axes.collections) == 2
        half, most = field.holding(0.5).pixels, field.holding(0.95).pixels
        assert f"50 % in {half} positions, 95 % in {most}" in notes(axes)
    assert notes(first)[0] == "initialisation"
    assert "gradient of conv3 at the unit 3, 3" in notes(first)
    assert notes(second)[0] == "best checkpoint"
    assert notes(second)[1].startswith("sigma 4")
    assert first.get_xlim() == second.get_xlim()


def test_over_training_with_one_axis_and_with_three(drawn):
    (axes,) = drawn(change_picture, Change(effective_of(3), effective_of(5))).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == ["initialisation", "best checkpoint"]
    figure = drawn(change_picture, Change(effective_of(3, 2, 2, size=16), effective_of(2, 2, 4, size=16)))
    assert len(figure.axes) == 6
    assert figure.axes[3].get_window_extent().y1 < figure.axes[0].get_window_extent().y0


def test_headings_and_panels_do_not_touch(drawn):
    tall = np.outer(effective_of(9, size=80).map, effective_of(2, size=20).map)
    field = EffectiveField(
        "c", (0, 0), (40.0, 10.0), tall, 1, 1, 0, tuple(held(tall, (40, 10), s) for s in SHARES), gaussian(tall)
    )
    first, second = drawn(change_picture, Change(field, field)).axes
    right = max(text.get_window_extent().x1 for text in first.texts[:3])
    assert right < min(second.get_tightbbox().x0, second.texts[0].get_window_extent().x0)


# ---------------------------------------------------------------- files


def test_good_files_and_the_same_bytes_again():
    png = picture(NESTED, (16, 24), "png", title="fields")
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    assert set(image.info) == {"dpi"}
    assert 700 <= image.width <= 1800
    assert png == picture(NESTED, (16, 24), "png", title="fields")
    svg = picture(NESTED, (16, 24), "svg", title="fields")
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"date" not in svg
    assert svg == picture(NESTED, (16, 24), "svg", title="fields")
    assert change_picture(Change(effective_of(3, 3), effective_of(5, 5)), "svg", title="").startswith(b"<?xml")


@pytest.mark.parametrize("space", [(1, 1), (2, 300), (300, 2), (2048, 2048)])
def test_images_of_any_size_make_a_picture_of_a_usual_one(space):
    center = tuple(n // 2 for n in space)
    boxes = [Box(f"r{k}", tuple(c - k for c in center), tuple(c + k for c in center)) for k in (0, 1, 7)]
    image = Image.open(io.BytesIO(picture(boxes, space, "png", title="t")))
    assert 300 < image.width < 2200
    assert 100 < image.height < 2200


def test_endings_are_png_and_svg():
    assert picture_kind(Path("a/b.PNG")) == "png"
    assert picture_kind(Path("b.svg")) == "svg"
    with pytest.raises(CnnlabError) as raised:
        picture_kind(Path("b.jpg"))
    assert str(raised.value) == "b.jpg: '.jpg' is no kind of picture that can be drawn; name a .png or .svg file"
    with pytest.raises(CnnlabError, match=r"^b: no kind of picture; name"):
        picture_kind(Path("b"))


@pytest.mark.parametrize(
    ("boxes", "space", "image", "message"),
    [
        ([], (8, 8), None, "no layer is chosen, so there is no field to draw"),
        (NESTED, (8, 8), np.zeros((8, 9, 3)), "the image is 8x9, and the network's input 8x8; give an image"),
        (NESTED, (1, 2, 3, 4), None, "an input of 4 axes cannot be drawn"),
    ],
)
def test_what_cannot_be_drawn_is_a_sentence(boxes, space, image, message):
    with pytest.raises(CnnlabError) as raised:
        picture(boxes, space, "png", title="", image=image)
    assert str(raised.value).startswith(message)
