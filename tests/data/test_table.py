"""CSV: what is read, and a sentence with the line for every row that is wrong."""

import csv
import io
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnlab.data.dataset import load
from cnnlab.data.prepare import prepare
from cnnlab.errors import DataError
from cnnlab.spec.data import Csv
from cnnlab.spec.split import Split

SPEC = Csv(source="csv", path="table.csv", images="file", labels="kind", channels=1)
FILES = ["a.png", "b.png", "c d.png", "é,1.png"]
PIXELS = [np.full((3, 4), 10 * i, np.uint8) for i in range(4)]
TABLE = 'file,kind\na.png,cat\nb.png,dog\nc d.png,cat\n"é,1.png",dog\n'


@pytest.fixture
def folder(tmp_path):
    for name, pixels in zip(FILES, PIXELS, strict=True):
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def read(folder, text, **keys):
    (folder / "table.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(SPEC.model_copy(update=keys), folder)


def refused(folder, text, sentence, **keys):
    with pytest.raises(DataError) as error:
        read(folder, text, **keys)
    assert str(error.value) == f"table.csv: {sentence}"


AS_IT_COMES = {
    "as it is": TABLE.encode(),
    "CRLF": TABLE.replace("\n", "\r\n").encode(),
    "BOM": b"\xef\xbb\xbf" + TABLE.encode(),
    "blank lines": TABLE.replace("\n", "\n\n").encode(),
    "spaces and no end of line": TABLE.rstrip().replace(",c", " , c").encode(),
}


@pytest.mark.parametrize("text", AS_IT_COMES.values(), ids=AS_IT_COMES)
def test_rows_are_read_with_crlf_bom_blank_lines_and_quotes(folder, text):
    data = read(folder, text)
    assert (data.x.dtype, data.y.dtype, data.source, data.given, data.groups) == (np.uint8, np.int32, "csv", {}, None)
    np.testing.assert_array_equal(data.x[..., 0], PIXELS)
    assert (data.y.tolist(), data.classes, data.files) == ([0, 1, 0, 1], ("cat", "dog"), tuple(FILES))


def test_numbers_as_labels_keep_their_order(folder):
    text = "file,kind\na.png,10\nb.png,9\nc d.png,2\n"
    assert read(folder, text).classes == ("2", "9", "10")


def test_paths_start_at_the_table(folder):
    (folder / "tables").mkdir()
    (folder / "tables" / "t.csv").write_text(f"file,kind\n../a.png,cat\n{folder}/b.png,dog\n")
    data = load(SPEC.model_copy(update={"path": "tables/t.csv"}), folder)
    np.testing.assert_array_equal(data.x[..., 0], PIXELS[:2])


def test_splits_and_groups(folder):
    text = 'file,who,kind,part\na.png,x,cat,train\nb.png,x,dog,Train\nc d.png,y,cat,val\n"é,1.png",z,dog,test\n'
    data = read(folder, text, split_column="part", group_column="who")
    found = {name: part.tolist() for name, part in data.given.items()}
    assert found == {"train": [0, 1], "validation": [2], "test": [3]}
    assert data.groups == ("x", "x", "y", "z")
    one = data.groups and read(folder, text, group_column="who", classes=("dog", "cat"))
    assert one.groups == data.groups
    sentence = "the group 'x' has examples in train and in validation; a group belongs into one split"
    refused(folder, text.replace(",y,", ",x,"), sentence, split_column="part", group_column="who")
    text = text.replace("rain", "est")
    refused(folder, text.replace("Test", "test"), "no row is train in the column 'part'; there are validation, test",
            split_column="part")  # fmt: skip


def test_groups_stay_together_through_prepare(tmp_path):
    rows = ["file,kind,who"]
    for i in range(60):
        Image.fromarray(np.full((2, 2), i, np.uint8)).save(tmp_path / f"{i}.png")
        rows.append(f"{i}.png,{i % 2},{i // 4}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    spec = SPEC.model_copy(update={"group_column": "who", "split": Split(train=0.6, validation=0.2, test=0.2)})
    splits = prepare(spec, tmp_path, seed=0).splits
    assert {name: len(indices) for name, indices in splits.items()} == {"train": 36, "validation": 12, "test": 12}
    assert [len(set(indices // 4)) for indices in splits.values()] == [9, 3, 3]


@settings(max_examples=40, deadline=None)
@given(labels=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    lambda text: text.strip().lower() not in ("", "nan")), min_size=2, max_size=4, unique_by=str.strip))  # fmt: skip
def test_any_text_is_a_label(tmp_path_factory, labels):
    folder, text = tmp_path_factory.mktemp("csv"), io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["file", "kind"])
    for i, label in enumerate(labels):
        Image.fromarray(PIXELS[0]).save(folder / f"{i}.png")
        writer.writerow([f"{i}.png", label])
    data = read(folder, text.getvalue())
    assert [data.classes[label] for label in data.y] == [label.strip() for label in labels]


# ---------------------------------------------------------------- what is refused

BAD = "bad rows:"
WRONG = {
    "empty file": ("", "data.images: no column 'file'; there are none"),
    "missing column": ("file,kinds\na.png,cat\n", "data.labels: no column 'kind'; did you mean 'kinds'?"),
    "another column": ("file,x\na.png,cat\n", "data.labels: no column 'kind'; there are file, x"),
    "semicolons": ("file;kind\na.png;cat\n", "data.images: no column 'file'; columns are separated by commas"),
    "twice the column": ("file,kind,kind\n", "two columns are called 'kind'; names tell columns apart"),
    "no rows": ("file,kind\n", "no row below the header; a row for every example"),
    "empty label": ("file,kind\na.png,cat\nb.png,\nc d.png,\n",
                    f"line 3: the cell of the column 'kind' is empty; {BAD} 2 of 3"),
    "NaN": ("file,kind\na.png,cat\nb.png,NaN\n", f"line 3: the cell of the column 'kind' is NaN; {BAD} 1 of 2"),
    "missing file": ("file,kind\na.png,cat\ne.png,dog\nf.png,\n", f"line 3: no file 'e.png'; {BAD} 2 of 3"),
    "a zero in the name": ("file,kind\na\0.png,cat\n", f"line 2: no file 'a\\x00.png'; {BAD} 1 of 1"),
    "a long name": (f"file,kind\n{'a' * 5000},cat\n", f"line 2: no file '{'a' * 200}'; {BAD} 1 of 1"),
    "duplicate": ("file,kind\na.png,cat\nb.png,dog\n./a.png,dog\n",
                  f"line 4: './a.png' stands in line 2 already; {BAD} 1 of 3"),
    "short row": ("file,kind\na.png,cat\nb.png\n", f"line 3: 1 cells, and the header has 2; {BAD} 1 of 2"),
    "long row": ("file,kind\na.png,cat,x,y\n", f"line 2: 4 cells, and the header has 2; {BAD} 1 of 1"),
    "open quote": ('file,kind\na.png,"cat\n',
                   "cannot be read: unexpected end of data; a table is text in UTF-8, with commas"),
    "not UTF-8": (b"file,kind\n\xe9.png,cat\n",
                  "cannot be read: 'utf-8' codec can't decode byte 0xe9 in position 10: invalid continuation byte; "
                  "a table is text in UTF-8, with commas"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_tables(folder, case):
    text, sentence = WRONG[case]
    refused(folder, text, sentence)


def test_a_split_that_is_none(folder):
    text = "file,kind,part\na.png,cat,train\nb.png,dog,dev\n"
    sentence = f"line 3: the split 'dev' is none of train, val, validation, test; {BAD} 1 of 2"
    refused(folder, text, sentence, split_column="part")


def test_a_folder_is_no_table(folder):
    with pytest.raises(DataError, match=r"is a folder, and a table is wanted; name a \.csv file$"):
        load(SPEC.model_copy(update={"path": "."}), folder)


def test_an_image_that_cannot_be_read_is_named(folder):
    (folder / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"^\./b\.png: cannot read the image: it is no image that Pillow knows"):
        read(folder, TABLE)


# ---------------------------------------------------------------- Parquet


def parquet(folder, content):
    with pytest.raises(DataError) as error:
        read_parquet(folder, content)
    return str(error.value)


def read_parquet(folder, content):
    pyarrow = pytest.importorskip("pyarrow", reason="pip install pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(content), folder / "t.parquet")
    return load(SPEC.model_copy(update={"path": "t.parquet"}), folder)


def test_parquet_is_read_as_csv_is(folder):
    data = read_parquet(folder, {"score": [0.5] * 4, "file": FILES, "kind": [10, 9, 10, 9]})
    assert (data.y.tolist(), data.classes, data.files) == ([1, 0, 1, 0], ("9", "10"), tuple(FILES))
    np.testing.assert_array_equal(data.x[..., 0], PIXELS)


def test_wrong_parquet_files(folder):
    sentence = f"t.parquet: row 2: the cell of the column 'kind' is empty; {BAD} 2 of 3"
    assert parquet(folder, {"file": FILES[:3], "kind": ["cat", None, None]}) == sentence
    sentence = f"t.parquet: row 1: the cell of the column 'kind' is NaN; {BAD} 1 of 2"
    assert parquet(folder, {"file": FILES[:2], "kind": [float("nan"), 1.0]}) == sentence
    sentence = "t.parquet: data.labels: no column 'kind'; did you mean 'kinds'?"
    assert parquet(folder, {"file": FILES, "kinds": FILES}) == sentence
    (folder / "t.parquet").write_bytes((folder / "t.parquet").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"^t\.parquet: cannot be read as Parquet: .*; copy or write the file again$"):
        load(SPEC.model_copy(update={"path": "t.parquet"}), folder)


def test_parquet_without_pyarrow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (folder / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"^t\.parquet: pyarrow reads Parquet, and it is not installed; pip install py"):
        load(SPEC.model_copy(update={"path": "t.parquet"}), folder)


def test_a_column_may_say_the_whole_split(folder):
    """Without `split_column`, whose training rows are divided where none validates."""
    text = "file,kind,part\n" + "".join(
        f"{name},{kind},{part}\n"
        for name, kind, part in zip(['a.png', 'b.png', 'c d.png', '"é,1.png"'], ["cat", "dog"] * 2,
                                    ["train", "train", "test", "Test"], strict=True)
    )  # fmt: skip
    (folder / "table.csv").write_text(text)
    spec = SPEC.model_copy(update={"split": Split(column="part"), "batch_size": 2})
    splits = prepare(spec, folder, seed=0).splits
    assert {name: indices.tolist() for name, indices in splits.items()} == {"train": [0, 1], "test": [2, 3]}
    with pytest.raises(DataError, match=r"data\.split_column: no column 'pat'; did you mean 'part'\?"):
        prepare(spec.model_copy(update={"split": Split(column="pat")}), folder, seed=0)
