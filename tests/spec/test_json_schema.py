"""The JSON Schema, which editors check specs by: it takes what the loader takes, and no misspelt key."""

import re
from pathlib import Path

import pytest

from cnnlab.spec import yaml
from cnnlab.spec.load import parse
from cnnlab.spec.schema import Experiment
from cnnlab.spec.vocabulary import VOCABULARY

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "experiments").rglob("*.yaml"))
README = ROOT / "README.md"
SCHEMA = Experiment.model_json_schema()
SHORTEST = "data: {source: digits}\nmodel: {name: lenet5}\n"


@pytest.fixture(scope="module")
def conforms():
    """Whether a YAML text fits the schema, by an implementation that is not ours."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema checks the schema; pip install jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return lambda text: validator.is_valid(yaml.parse(text, "s").data)


def readme_specs():
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL) if README.exists() else []
    return [block for block in blocks if re.search(r"^model:", block, re.MULTILINE)]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_experiment_conforms(conforms, path):
    text = path.read_text(encoding="utf-8")
    assert conforms(text)
    assert not conforms(text.replace("model:", "modle:"))


@pytest.mark.skipif(not README.exists(), reason="there is no README.md beside this checkout")
def test_the_specs_of_the_readme_conform_and_load(conforms):
    specs = readme_specs()
    assert specs
    for text in specs:
        assert conforms(text)
        assert parse(text, "README.md").model


@pytest.mark.parametrize(
    "text",
    [
        "model: {name: lenet5}",
        SHORTEST + "precision: bfloat16\ntrain: {remat: true}",
        "name: a\nseed: 3\n" + SHORTEST + "train: {epochs: 3, early_stopping: {patience: 2}}\nloss: {}",
        *(f"model: {{name: {name}}}" for name in ("mlp", "softmax_regression", "resnet18", "resnet34")),
        "data: {source: npz, path: x, resize: [8, 8], augment: [shift: 2]}\nmodel: {name: lenet5}",
        "data: {source: npz, path: x, crop: 8, augment: [{scale: 1.2}, {scale: [0.5, 1]}, {blur: 2}, {mixup: {}}]}\n"
        "model: {name: lenet5}",
        "data: {source: npz, path: x, augment: [{random_crop: 8}, {random_crop: {size: [8, 9], padding: 2}}]}\n"
        "model: {name: lenet5}",
        "data: {source: image_folder, path: x, channels: 1, split: {train: 1}}\nmodel: {name: lenet5}",
        "data: {source: digits, split: {train: 1000, validation: 200, test: rest}}\nmodel: {name: lenet5}",
        "data: {source: digits, split: {train: a.txt, test: b.csv, unused: rest}}\nmodel: {name: lenet5}",
        "data: {source: digits, split: {folds: 5, fold: 2, test: 0.1, stratify: false}}\nmodel: {name: lenet5}",
        "data: {source: digits, sampling: balanced}\nmodel: {name: lenet5}",
        "data: {source: digits, sampling: {a: 3, b: 0.5}}\nmodel: {name: lenet5}",
        "data: {source: cifar100, path: x, labels: coarse}\nmodel: {name: lenet5}",
        "data: {source: csv, path: x, images: a, labels: b, group_column: c}\nmodel: {name: lenet5}",
        "data: {source: sines, frequencies: [1, 2], noise: 0}\nmodel: {name: lenet5}",
        *(SHORTEST + f"optimizer: {{learning_rate: {rate}}}" for rate in ("0.1", "{peak: 1}", "{schedule: constant}")),
        SHORTEST + "optimizer: {name: sgd, learning_rate: {schedule: step, every_epochs: 3}}",
        SHORTEST + "task: regression\nloss: huber",
        SHORTEST + "loss: {class_weights: {cat: 2}, l2: 0.1}",
        "task: segmentation\nmodel: {name: unet}\n"
        "loss: {name: sum, of: [dice, {name: focal, class_weights: balanced}], weights: [1, 0.5]}",
        "model: {layers: [relu, max_pool: 2, max_pool: {window: [2, 1]}, dropout: 0.5, dense: classes]}",
        "model: {layers: [{relu: null}, {relu: {name: a}}, {conv: {features: 1, kernel: 1}, name: b}]}",
        "model: {layers: [conv: {features: 8, kernel: [3, 1], padding: [[1, 1], [0, 0]], stride: 2, bias: false}]}",
        "model: {layers: [residual: [relu], residual: {body: [relu], shortcut: [relu], activation: relu}]}",
        "model: {layers: [{residual: {body: [relu], shortcut: projection}}, crop_concat: [relu], squeeze_excite: 4]}",
        "model: {layers: [adaptive_avg_pool: 7, adaptive_max_pool: [7, 6], spatial_pyramid_pool: [1, 2]]}",
        "model: {layers: [conv: {features: 1, kernel: 3, padding: [1, 2], padding_mode: reflect, init: orthogonal}]}",
        "model: {layers: [conv: {features: 1, kernel: 3, padding: ceil, init: {constant: 1}}, prelu, hard_threshold]}",
        "model: {layers: [swish: {beta: 2, learned: true}, elu: {alpha: 2}, sine: {frequency: 30}, stochastic_depth]}",
        "model: {layers: [branches: [[relu], [tanh]], branches: {join: add, lists: [[relu]]}]}",
        "model: {layers: [repeat: {times: 2, layers: [relu, dense: 3]}], input: [8, 8, 1], classes: 10}",
    ],
)  # fmt: skip
def test_what_the_loader_takes_conforms(conforms, text):
    assert parse(text, "s").model
    assert conforms(text)


@pytest.mark.parametrize(
    "text",
    [
        "modle: {name: lenet5}",
        SHORTEST + "colour: red",
        SHORTEST + "seed: -1",
        SHORTEST + "seed: three",
        SHORTEST + "precision: float16",
        SHORTEST + "train: {remat: blocks}",
        "data: {source: digits, batchsize: 3}\nmodel: {name: lenet5}",
        "data: {source: digits, split: {train: true}}\nmodel: {name: lenet5}",
        "data: {source: digits, split: {folds: 1}}\nmodel: {name: lenet5}",
        "data: {source: digits, split: {train: 0.5, unused: 0.5}}\nmodel: {name: lenet5}",
        "data: {source: digits, sampling: evenly}\nmodel: {name: lenet5}",
        "data: {source: digits, sampling: {a: 0}}\nmodel: {name: lenet5}",
        "data: {source: nowhere}\nmodel: {name: lenet5}",
        "data: {source: npz}\nmodel: {name: lenet5}",
        "data: {source: csv, images: x}\nmodel: {name: lenet5}",
        "data: {source: shapes, size: 3}\nmodel: {name: lenet5}",
        "data: {source: image_folder, path: x, channels: 2}\nmodel: {name: lenet5}",
        "model: {name: nonet}",
        "model: {name: lenet5, poling: max}",
        "model: {name: lenet5, layers: [relu]}",
        SHORTEST + "optimizer: {name: sgd, momentum: 0.9}",
        SHORTEST + "optimizer: {learning_rate: {peek: 1}}",
        SHORTEST + "loss: hubber",
        SHORTEST + "loss: {name: huber, gamma: 1}",
        SHORTEST + "loss: {class_weights: balance}",
        "task: segmentation\nmodel: {name: unet}\nloss: {name: sum, of: [dice, {name: dyce}]}",
        SHORTEST + "train: {epochs: 0}",
        "model: {layers: relu}",
        "model: {layers: [rleu]}",
        "model: {layers: [conv]}",
        "model: {layers: [conv: 3]}",
        "model: {layers: [conv: {features: 8, kernel: 3, strid: 2}]}",
        "model: {layers: [conv: null]}",
        "model: {layers: [relu: 3]}",
        "model: {layers: [conv: {features: 8, kernel: 3, padding: full}]}",
        "model: {layers: [conv: {features: 8, kernel: 3, padding_mode: mirror}]}",
        "model: {layers: [conv: {features: 8, kernel: 3, init: he}]}",
        "model: {layers: [dense: {features: 8, init: {constant: x}}]}",
        "model: {layers: [adaptive_avg_pool]}",
        "model: {layers: [crop_concat]}",
        "model: {layers: [residual: {body: [relu], shortcut: project}]}",
        "model: {layers: [{relu: null, tanh: null}]}",
        "model: {layers: [{name: a}]}",
        "model: {layers: [residual: {body: [rleu]}]}",
    ],
)
def test_what_the_loader_refuses_does_not_conform(conforms, refused, text):
    assert refused(text)
    assert not conforms(text)


def test_the_words_of_the_layers_are_those_of_the_vocabulary():
    bare, keyed = SCHEMA["$defs"]["LayersModel"]["properties"]["layers"]["items"]["anyOf"]
    assert set(keyed["properties"]) == {*VOCABULARY, "name"}
    assert [choice["required"] for choice in keyed["oneOf"]] == [[word] for word in VOCABULARY]
    assert not keyed["additionalProperties"]
    needing = {word for word, cls in VOCABULARY.items() if any(f.is_required() for f in cls.model_fields.values())}
    assert set(bare["enum"]) == set(VOCABULARY) - needing
    assert needing == {
        "conv", "conv_transpose", "depthwise_conv", "separable_conv", "spatially_separable_conv", "dense", "max_pool",
        "avg_pool", "adaptive_max_pool", "adaptive_avg_pool", "pad", "residual", "branches", "crop_concat", "repeat",
    }  # fmt: skip


def test_each_word_leads_to_its_own_keys():
    _, keyed = SCHEMA["$defs"]["LayersModel"]["properties"]["layers"]["items"]["anyOf"]
    for word, cls in VOCABULARY.items():
        first = keyed["properties"][word]["anyOf"][0]["$ref"]
        assert first == f"#/$defs/{cls.__name__}"
        assert set(SCHEMA["$defs"][cls.__name__]["properties"]) == set(cls.model_fields)


def test_the_schema_describes_its_keys():
    patience = SCHEMA["$defs"]["Split"]["properties"]["seed"]
    assert patience["description"] == "default: the experiment's seed"
    assert SCHEMA["additionalProperties"] is False
