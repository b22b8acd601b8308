"""The public data sets that `cnnlab data fetch` knows: where they lie, how large they are, and their checksums.

Sizes and SHA-256 sums are those of TensorFlow Datasets (tensorflow_datasets/url_checksums/*.txt, for the pets
tensorflow_datasets/datasets/oxford_iiit_pet/checksums.tsv) wherever nothing else is said. A mirror needs no trust
of its own: what it sends is held against the same sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """A file to download. size: bytes; checksum: "sha256:..." or "md5:...", hexadecimal.

    makes: the one folder that an archive unpacks to, "" where the file stays as it is; unpacked: its bytes, about.
    """

    name: str
    size: int
    checksum: str
    addresses: tuple[str, ...]
    makes: str = ""
    unpacked: int = 0


@dataclass(frozen=True)
class Published:
    """A data set. source: what a spec's `data` calls it; inner: the folder in the fetched one that is its path.

    resize: a size to start with, where the images have many.
    """

    title: str
    licence: str
    homepage: str
    files: tuple[File, ...]
    source: str
    inner: str = ""
    resize: int | None = None

    def data(self, folder: Path) -> dict[str, str | int]:
        """The keys of a spec's `data` for the data set in `folder`."""
        keys: dict[str, str | int] = {"source": self.source, "path": str(folder / self.inner)}
        return keys if self.resize is None else {**keys, "resize": self.resize}

    @property
    def download_bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def disk_bytes(self) -> int:
        """What stays on the disk, about."""
        return sum(file.unpacked or file.size for file in self.files)


def _idx(mirrors: tuple[str, ...], sums: Mapping[str, tuple[int, str]]) -> tuple[File, ...]:
    """The four files of MNIST's format at each of the mirrors."""
    return tuple(
        File(name, size, f"sha256:{checksum}", tuple(f"{mirror}/{name}" for mirror in mirrors))
        for name, (size, checksum) in sums.items()
    )


MNIST = Published(
    "handwritten digits, 70,000 of 28x28 (LeCun, Cortes, Burges 1998)",
    "CC BY-SA 3.0, as Keras states it; the homepage names none",
    "http://yann.lecun.com/exdb/mnist/",
    _idx(
        # The mirrors of the Common Visual Data Foundation and of torchvision; the homepage itself refuses downloads.
        ("https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"),
        {
            "train-images-idx3-ubyte.gz": (
                9912422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            "train-labels-idx1-ubyte.gz": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            "t10k-images-idx3-ubyte.gz": (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            "t10k-labels-idx1-ubyte.gz": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        },
    ),
    "idx",
)
FASHION_MNIST = Published(
    "articles of clothing, 70,000 of 28x28 (Xiao, Rasul, Vollgraf 2017)",
    "MIT",
    "https://github.com/zalandoresearch/fashion-mnist",
    _idx(
        # The publisher's own, Keras' (whose FILE_HASHES are these sums too), and the publisher's repository.
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        ),
        {
            "train-images-idx3-ubyte.gz": (
                26421880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            "train-labels-idx1-ubyte.gz": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            "t10k-images-idx3-ubyte.gz": (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            "t10k-labels-idx1-ubyte.gz": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        },
    ),
    "idx",
)
KMNIST = Published(
    "cursive Japanese characters, 70,000 of 28x28 (Clanuwat et al. 2018)",
    'CC BY-SA 4.0: "KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by NIJL and others)',
    "https://github.com/rois-codh/kmnist",
    _idx(
        ("https://codh.rois.ac.jp/kmnist/dataset/kmnist", "http://codh.rois.ac.jp/kmnist/dataset/kmnist"),
        {
            "train-images-idx3-ubyte.gz": (
                18165135,
                "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            ),
            "train-labels-idx1-ubyte.gz": (29497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
            "t10k-images-idx3-ubyte.gz": (3041136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
            "t10k-labels-idx1-ubyte.gz": (5120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
        },
    ),
    "idx",
)
TORONTO = "https://www.cs.toronto.edu/~kriz"
CIFAR10 = Published(
    "photographs in 10 classes, 60,000 of 32x32 (Krizhevsky 2009)",
    "none is stated; the homepage asks to cite the technical report",
    f"{TORONTO}/cifar.html",
    (
        File(
            "cifar-10-binary.tar.gz",
            170052171,
            "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            (
                f"{TORONTO}/cifar-10-binary.tar.gz",
                # What Swift for TensorFlow downloaded.
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
            ),
            makes="cifar-10-batches-bin",
            unpacked=184_400_000,
        ),
    ),
    "cifar10",
)
CIFAR100 = Published(
    "photographs in 100 classes, 60,000 of 32x32 (Krizhevsky 2009)",
    CIFAR10.licence,
    CIFAR10.homepage,
    (
        File(
            "cifar-100-binary.tar.gz",
            168513733,
            "sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            (f"{TORONTO}/cifar-100-binary.tar.gz",),
            makes="cifar-100-binary",
            unpacked=184_500_000,
        ),
    ),
    "cifar100",
)
STL10 = Published(
    "photographs in 10 classes, 13,000 of 96x96, and 100,000 unlabelled (Coates, Ng, Lee 2011)",
    "none is stated; the images are ImageNet's, whose terms are non-commercial research and education",
    "https://cs.stanford.edu/~acoates/stl10/",
    (
        File(
            "stl10_binary.tar.gz",
            2640397119,
            "sha256:f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
            (
                "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
                "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
            ),
            makes="stl10_binary",
            unpacked=3_124_300_000,
        ),
    ),
    "stl10",
)


def _imagenette(suffix: str, size: int, checksum: str) -> Published:
    made = f"imagenette2{suffix}"
    address = f"https://s3.amazonaws.com/fast-ai-imageclas/{made}.tgz"
    pixels = f"{suffix[1:]} pixels on the shorter side" if suffix else "whole"
    return Published(
        f"ten easy classes of ImageNet, 13,394 photographs, {pixels} (Howard 2019)",
        "Apache-2.0 (the selection); the images are ImageNet's, whose terms are non-commercial research and education",
        "https://github.com/fastai/imagenette",
        (File(f"{made}.tgz", size, checksum, (address,), makes=made, unpacked=size * 21 // 20),),
        "image_folder",
        inner=made,
        resize=128 if suffix == "-160" else 224,
    )


# The archives were packed anew after TensorFlow Datasets took its sums. The full one's is the MD5 in torchvision's
# datasets/imagenette.py; the others' SHA-256 are what several projects that downloaded them on their own state, of
# files that have torchvision's MD5 too (e793b7... of 160 pixels, 3df6f0... of 320).
IMAGENETTE = {
    f"imagenette{suffix}": _imagenette(suffix, size, checksum)
    for suffix, size, checksum in (
        ("", 1557161267, "md5:fe2fc210e6bb7c5664d602c3cd71e612"),
        ("-320", 341663724, "sha256:569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c"),
        ("-160", 99003388, "sha256:64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5"),
    )
}
_OXFORD = ("https://thor.robots.ox.ac.uk/~vgg/data/pets", "https://www.robots.ox.ac.uk/~vgg/data/pets/data")
OXFORD_PET = Published(
    "cats and dogs of 37 breeds with outlines, 7,349 photographs (Parkhi et al. 2012)",
    "CC BY-SA 4.0; the copyright of the images stays with their owners",
    "https://www.robots.ox.ac.uk/~vgg/data/pets/",
    (
        File(
            "images.tar.gz",
            791918971,
            "sha256:67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
            tuple(f"{mirror}/images.tar.gz" for mirror in _OXFORD),
            makes="images",
            unpacked=830_000_000,
        ),
        File(
            "annotations.tar.gz",
            19173078,
            "sha256:52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
            tuple(f"{mirror}/annotations.tar.gz" for mirror in _OXFORD),
            makes="annotations",
            unpacked=100_000_000,
        ),
    ),
    "oxford_pet",
    resize=128,
)
DATASETS: Mapping[str, Published] = {
    "mnist": MNIST,
    "fashion-mnist": FASHION_MNIST,
    "kmnist": KMNIST,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "stl10": STL10,
    **IMAGENETTE,
    "oxford-pet": OXFORD_PET,
}
