"""The peer of experiments/digits/lenet5.yaml: the same network, data, batches and update in PyTorch, as a script.

What a user would write: scikit-learn's digits, resized, shifted and rotated, 30 epochs of AdamW with a warmed-up
cosine, validation after each epoch (told on stderr), test accuracy of the best epoch on stdout.
"""

import math
import sys

import torch
import torch.nn.functional as F  # noqa: N812
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn


def augmented(x: torch.Tensor) -> torch.Tensor:
    """Shifts of up to 2 pixels and rotations of up to 10 degrees, each image for itself."""
    angle = torch.deg2rad(torch.empty(len(x)).uniform_(-10, 10))
    offset = torch.randint(-2, 3, (len(x), 2)) / 16
    theta = torch.zeros(len(x), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = angle.cos()
    theta[:, 0, 1], theta[:, 1, 0] = -angle.sin(), angle.sin()
    theta[:, :, 2] = offset
    return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


def main(seed: int, epochs: int = 30, batch: int = 64) -> float:
    torch.manual_seed(seed)
    x, y = load_digits(return_X_y=True)
    images = F.interpolate(torch.tensor(x / 16, dtype=torch.float32).view(-1, 1, 8, 8), 32, mode="bilinear")
    labels = torch.tensor(y)
    train, rest = train_test_split(range(len(y)), test_size=0.3, stratify=y, random_state=seed)
    validation, test = train_test_split(rest, test_size=0.5, stratify=y[rest], random_state=seed)
    mean, std = images[train].mean(), images[train].std()
    net = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )
    optimizer = torch.optim.AdamW(net.parameters(), 0.003, weight_decay=1e-4)
    steps = math.ceil(len(train) / batch)

    def rate(step: int) -> float:
        if step < steps:
            return (step + 1) / steps
        return 0.5 * (1 + math.cos(math.pi * (step - steps + 1) / (steps * (epochs - 1))))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    best, accuracy = math.inf, 0.0
    chosen = torch.tensor(train)
    for epoch in range(1, epochs + 1):
        net.train()
        for part in chosen[torch.randperm(len(chosen))].split(batch):
            loss = F.cross_entropy(net((augmented(images[part]) - mean) / std), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        net.eval()
        with torch.no_grad():
            logits = net((images[validation] - mean) / std)
            measured = F.cross_entropy(logits, labels[validation]).item()
            right = (logits.argmax(1) == labels[validation]).float().mean().item()
            print(f"epoch {epoch}  validation/accuracy {right:.4f}", file=sys.stderr, flush=True)
            if measured < best:
                best = measured
                right = net((images[test] - mean) / std).argmax(1) == labels[test]
                accuracy = right.float().mean().item()
    return accuracy


if __name__ == "__main__":
    print(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
