"""The look is ours alone: no user's setting gets in, none of ours stays behind."""

import subprocess
import sys

import matplotlib as mpl

from cnnlab.report.style import new_figure, png


def picture() -> bytes:
    with new_figure() as figure:
        figure.set_size_inches(2, 1)
        figure.subplots().plot([1, 3, 2])
        return png(figure, tight=False)


def test_user_settings_do_not_matter():
    plain = picture()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 20, "lines.linewidth": 9}):
        assert picture() == plain


def test_settings_are_as_before():
    before = dict(mpl.rcParams)
    picture()
    assert dict(mpl.rcParams) == before


def test_import_is_cheap_and_drawing_needs_no_pyplot():
    code = (
        "import sys, cnnlab.report.figures as figures; assert 'matplotlib' not in sys.modules;"
        "figures.curves_png([{'epoch': 1, 'train/loss': 1.0}], None); assert 'matplotlib' in sys.modules;"
        "assert not {'matplotlib.pyplot', 'tkinter', 'jax'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
