"""Which devices there are, without PyTorch where it is clear: it takes seconds to import."""

from pathlib import Path

# Files that the drivers of NVIDIA (also for WSL and Jetson boards) and of AMD create there.
DEVICES = Path("/dev")
OF_GPUS = ("nvidia*", "dxg", "nvhost*", "nvmap", "kfd")


def resolve(name: str) -> list[str]:
    """Return the devices that a name stands for; see `bnexp.train.device.resolve`."""
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return ["cpu"]
    from bnexp.train.device import resolve as resolve_with_torch  # imports torch

    return resolve_with_torch(name)


def _may_have_gpu() -> bool:
    """Return whether PyTorch could see a GPU: yes where nothing is known."""
    if not (DEVICES / "null").exists():  # another system
        return True
    return any(any(DEVICES.glob(pattern)) for pattern in OF_GPUS)
