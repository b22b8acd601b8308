"""The peer of data.py: a torch DataLoader over the same folder, Pillow and two workers.

The transforms are torchvision's Resize, ToTensor and Normalize, written out, so that it need not be installed.
Usage: data_torch.py FOLDER SIZE BATCH; prints seconds to the first batch and to the last, and the images, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

MEAN, STD = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
WORKERS = 2


class Folder(Dataset):
    """Float32 [3, SIZE, SIZE] and the class's number, as torchvision.datasets.ImageFolder gives them."""

    def __init__(self, folder: Path, size: int):
        classes = sorted(entry for entry in folder.iterdir() if entry.is_dir())
        self.items = [(path, label) for label, entry in enumerate(classes) for path in sorted(entry.iterdir())]
        self.size = size

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int):
        path, label = self.items[i]
        with path.open("rb") as file:
            image = Image.open(file).convert("RGB")
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        return x.sub_(MEAN).div_(STD), label


def main() -> None:
    folder, size, batch = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dataset = Folder(folder, size)
    started = time.perf_counter()
    first, images = 0.0, 0
    for x, _ in DataLoader(dataset, batch, shuffle=True, num_workers=WORKERS):
        first = first or time.perf_counter() - started
        images += len(x)
    print(json.dumps({"first": first, "seconds": time.perf_counter() - started, "images": images}))


if __name__ == "__main__":
    main()
