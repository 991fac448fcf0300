"""Networks of users that go wrong for one seed, each in another way."""

# In each function the seed 1 is the one that goes wrong.
SOURCE = """
import os, resource, signal, sys, time
import torch
from torch import nn

def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10))

def well(config, seed):
    return net()

def raises(config, seed):
    if seed == 1:
        raise ValueError("seed 1 cannot")
    return net()

def raises_where_it_trains(config, seed):
    return Late(seed) if seed == 1 else nn.Sequential(net())

class Late(nn.Sequential):
    def __init__(self, seed):
        super().__init__(net())
        self.calls = 0
    def forward(self, x):
        if x.shape[0] == 32:
            raise ValueError("seed 1 cannot")
        return super().forward(x)

def convolution(config, seed):
    if seed == 1:
        raise ValueError("seed 1 cannot")
    return nn.Sequential(
        nn.Conv2d(1, 2, 5), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(1152, 10)
    )

def another(config, seed):  # of the same shapes: no mate must train as it does
    layers = list(net())
    if seed == 1:
        layers[2] = nn.Tanh()
    return nn.Sequential(*layers)

class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)

def another_kind(config, seed):  # which other programs train
    return Doubled(net()) if seed == 1 else net()

def leaves(config, seed):
    if seed == 1:
        sys.exit(0)
    return net()

def interrupts(config, seed):
    if seed == 1:
        raise KeyboardInterrupt
    return net()

class Odd(BaseException):
    def __str__(self):
        raise RuntimeError("no words")

def cannot_say(config, seed):
    if seed == 1:
        raise Odd
    return net()

def undecodable(config, seed):
    if seed == 1:
        raise ValueError("bad \\\\udcff name \\\\x1b[2J")
    return net()

def endless(config, seed):
    if seed == 1:
        raise ValueError(50_000_000 * "long ")
    return net()

def ends(config, seed):
    if seed == 1:
        os._exit(7)
    return net()

def kills(config, seed):
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return net()

def closes(config, seed):
    if seed == 1:
        os.closerange(3, 100)
        raise ValueError("seed 1 cannot")
    return net()

def hangs(config, seed):
    if seed == 1:
        while True:
            time.sleep(1)
    return net()

def hangs_within_a_step(config, seed):
    return Endless() if seed == 1 else nn.Sequential(net())

class Endless(nn.Sequential):
    def __init__(self):
        super().__init__(net())
    def forward(self, x):
        while x.shape[0] == 32:
            pass
        return super().forward(x)

def stops(config, seed):
    if seed == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return net()

def eats(config, seed):
    if seed == 1:
        resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
        torch.zeros(2**40)
    return net()
""".replace("\\\\", "\\")
