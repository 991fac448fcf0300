"""The mean of a difference over seeds and test images that both are drawn at random.

An interval over seeds says what training again on these data would give, tested on these very
images. Other images of their kind would give another mean: each is a draw as well, crossed with
the seeds, since every network of both arms is tested on every image. The variance of the mean
is that of the two-way layout of random effects, in which nothing but the exchangeability of the
seeds and of the images is assumed:

    Var(mean) = V_seeds / S + V_images / N + V_rest / (S N)

with each part from the mean squares of the analysis of variance. Simulated with right and wrong
answers of 200 to 10,000 images, with parts from nothing but seeds to nothing but images, the
95 % interval covers 94 to 97 % at 3 seeds and 94 to 96 % from 5 on, more where hardly an answer
is wrong (tests/stats/test_crossed.py). The interval over seeds alone holds the mean of all
images in 52 to 95 %, the pigeonhole bootstrap's variance with normal quantiles in 77 to 99 %.

Source: Cornfield and Tukey (1956), "Average values of mean squares in factorials", Annals of
Mathematical Statistics 27; Satterthwaite (1946), "An approximate distribution of estimates of
variance components", Biometrics Bulletin 2; Owen (2007), "The pigeonhole bootstrap", Annals of
Applied Statistics 1, for arrays of which no more is known.
"""

import math
from dataclasses import dataclass

from scipy import stats

from bnexp.stats.estimate import Values, vary
from bnexp.stats.lattice import snapped
from bnexp.stats.looks import ONE_LOOK, Looks
from bnexp.study.power import ALPHA


@dataclass(frozen=True)
class Crossed:
    """A mean over S seeds and N images; NaN where the seeds do not allow a number.

    Attributes:
        estimate: The mean.
        n: S.
        n_images: N.
        of_seeds: Variance of the mean over other seeds and the same images.
        of_images: What other images add to it, 0 where nothing is seen of that.
        freedom: Degrees of freedom of the sum.
        sd_seeds: Of what a seed adds for all images alike.
        sd_images: Of what an image adds for all seeds alike.
        sd_rest: Of what is left: what a seed does to an image.
    """

    estimate: float
    n: int
    n_images: int
    of_seeds: float
    of_images: float
    freedom: float
    sd_seeds: float
    sd_images: float
    sd_rest: float

    @property
    def image_share(self) -> float:
        """Return the share of the mean's variance that is due to the images."""
        return self.of_images / (self.of_seeds + self.of_images)

    def over_seeds(self, error: float = ALPHA) -> tuple[float, float]:
        """Return the Student-t interval for other seeds and the same images."""
        return self._around(self._half(self.of_seeds, self.n - 1, error))

    def over_both(self, error: float = ALPHA, looks: Looks = ONE_LOOK) -> tuple[float, float]:
        """Return the interval for other seeds and other images.

        It is never narrower than that for the same images: of three seeds, a variance that
        images add to brings degrees of freedom too, and could make it so. With several looks
        it is as many times wider as that of the seeds is.
        """
        both = self._half(self.of_seeds + self.of_images, self.freedom, error)
        half = max(both, self._half(self.of_seeds, self.n - 1, error))
        if looks.several and self.n > 1:
            half *= looks.reach(error, self.n) / ONE_LOOK.reach(error, self.n)
        return self._around(half)

    def _half(self, variance: float, freedom: float, error: float) -> float:
        return float(stats.t.ppf(1 - error / 2, freedom) * math.sqrt(variance))

    def _around(self, half: float) -> tuple[float, float]:
        return self.estimate - half, self.estimate + half


def crossed(differences: Values) -> Crossed:
    """Return the mean of a difference by seed and image.

    Args:
        differences: Shape (S, N), nothing missing: 1 where only the first arm is right, -1
            where only the other one is, 0 else; or averages of such over cells.
    """
    n, n_images = differences.shape
    by_seed, by_image = snapped(differences.mean(axis=1)), differences.mean(axis=0)
    mean = float(by_seed.mean())
    if n_images < 2 or not vary(by_seed):
        return Crossed(mean, n, n_images, *[math.nan] * 6)
    size = n * n_images
    squares = (
        n_images * float(((by_seed - mean) ** 2).sum()),
        n * float(((by_image - mean) ** 2).sum()),
    )
    rest = max(float(((differences - mean) ** 2).sum()) - sum(squares), 0.0)
    freedoms = (n - 1, n_images - 1, (n - 1) * (n_images - 1))
    seeds, images, rest = (
        square / freedom for square, freedom in zip((*squares, rest), freedoms, strict=True)
    )
    of_seeds, of_images = seeds / size, max(images - rest, 0.0) / size
    scatter = sum(
        (part / size) ** 2 / freedom
        for part, freedom in zip((seeds, images, rest), freedoms, strict=True)
    )
    return Crossed(
        mean,
        n,
        n_images,
        of_seeds,
        of_images,
        # Where the seeds happen to lie close together, the noise of the images' part would
        # leave fewer than the seeds have.
        max((of_seeds + of_images) ** 2 / scatter, n - 1),
        math.sqrt(max(seeds - rest, 0.0) / n_images),
        math.sqrt(max(images - rest, 0.0) / n),
        math.sqrt(rest),
    )
