"""Technical words, each explained once: marked where they first stand, listed at the end."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup, escape

from bnexp.reading import visible
from bnexp.report.numbers import typeset

# A term with the forms that it stands in, and what it means to somebody who is new to it.
TERMS = {
    "accuracy|accuracies": "The share of images that a network classifies correctly.",
    "activation|activations|activation function|activation functions": (
        "The curved function after each layer, such as ReLU or the sigmoid; without it a "
        "network could only compute straight lines."
    ),
    "Adam": "A way to train that gives each weight a step size of its own.",
    "backward pass": (
        "The second half of a step, which computes the gradient; it needs what the first half, "
        "the forward pass, has kept."
    ),
    "evaluation mode|training mode": (
        "How a network computes: in training mode dropout draws and batch normalization uses "
        "the minibatch's moments, in evaluation mode neither does."
    ),
    "arm|arms": "One of the alternatives that are compared.",
    "average pooling|avg": "Pooling that keeps the mean of each patch.",
    "baseline": "The variant that the others are compared with.",
    "batch size": "How many images a network sees before each step of its weights.",
    "BN|batch normalization|batch norm|BatchNorm|norm batch": (
        "Batch normalization: a layer that brings each channel to mean 0 and variance 1 over "
        "a minibatch, and then gives it a scale and a shift that are learned."
    ),
    "gamma and beta|gamma|gammas|beta|betas": (
        "The scale (gamma) and the shift (beta) that batch normalization learns for each "
        "channel."
    ),
    "batch statistics": "Mean and variance of the minibatch at hand, as in training.",
    "cannot tell|cannot be told|inconclusive": (
        "The numbers are consistent with a difference and with none: it takes more seeds to "
        "know."
    ),
    "cell|cells": "One combination of the settings that are varied, trained with every seed.",
    "channel|channels": "One of the images that a layer makes of its input.",
    "claim|claims": "What a source says, tested here on networks trained anew.",
    "cosine similarity|cosine": (
        "How far two directions agree: 1 for the same, 0 for a right angle, -1 for opposite."
    ),
    "covariate shift": (
        "A change in the distribution of a layer's inputs. Inside a network it comes from the "
        "training of the layers before it."
    ),
    "dead units|dead unit|units|unit": (
        "A unit is one number that a layer computes for each image. It is dead if its "
        "activation gives zero for every image."
    ),
    "depth": "How many layers a network has.",
    "diverged|diverge|diverges": (
        "The loss stopped being finite, as a rule because the steps were too large, and "
        "training ended."
    ),
    "dropout": "Setting some activations to zero at random during training.",
    "effect|effects": "By how much a number changes when one setting does.",
    "epoch|epochs": "One pass over all training images.",
    "epsilon|eps": (
        "A small number that is added to the variance before dividing by its square root."
    ),
    "equivalent|equivalence": "So close that the difference lies within a margin set before.",
    "exploratory": "Asked after results had been seen, so that chance may have suggested it.",
    "factor|factors": "A setting that the study varies, such as the normalization or pooling.",
    "gradient|gradients": "The direction in which the weights lower the loss fastest.",
    "group norm|GroupNorm": "Normalization over groups of channels of one image.",
    "guessing|guess|guesses": (
        "What a network does that has learned nothing: with ten classes, one image in ten is "
        "right."
    ),
    "initialization|init": "How weights are drawn before training.",
    "interaction|interactions": (
        "How much one setting's effect depends on another: the difference of two effects."
    ),
    "interquartile mean|interquartile means": (
        "The mean of the middle half of the runs, which a crashed run does not move."
    ),
    "interval|intervals": (
        "The range in brackets. In 95 of a hundred studies such a range contains the true "
        "value."
    ),
    "layer norm|LayerNorm": "Normalization over all channels of one image.",
    "lab_mlp|MLP|mlp": "A network of fully connected layers, without convolutions.",
    "learning rate|learning rates|lr": "How large a step each change of the weights is.",
    "LeNet|lenet": "A small network of two convolutions and three fully connected layers.",
    "loss|losses": "What training makes small: the surprise at the right answers.",
    "main effect|main effects": (
        "The effect of one setting, averaged over the values of all others."
    ),
    "max pooling": "Pooling that keeps the largest value of each patch.",
    "minibatch|minibatches": "The few images that one step of training looks at.",
    "momentum": (
        "How much each new minibatch counts for the running statistics; in an optimizer, how "
        "much of the last step is carried over."
    ),
    "moving weights": (
        "A loss measured while the weights still change: the mean over an epoch."
    ),
    "n": "How many seeds a number comes from.",
    "noise": "What differs between trainings that differ in nothing but the seed.",
    "noise floor": "The differences that the seed alone makes; nothing smaller can be seen.",
    "norm": "Which normalization a network has: none, batch normalization or another.",
    "no norm|norm none": "The network without any normalization.",
    "normalization": "Bringing what a layer is given to a common mean and variance.",
    "padding": "A border of zeros around an image before a convolution.",
    "paired|pairing": (
        "Compared within each seed, so that a lucky start counts for both sides alike."
    ),
    "percentage points|percentage point|points": (
        "The difference of two percentages: from 80 % to 82 % is 2 percentage points."
    ),
    "pooling|pool": "Making an image smaller by one value for each patch: its mean or maximum.",
    "population statistics": (
        "Means and variances of the whole training set, taken with the final weights; the "
        "exact alternative to running statistics."
    ),
    "ReLU|relu": "The activation that keeps what is positive and sets the rest to zero.",
    "reverse|reverses|reversal": (
        "An effect that is positive under some settings and negative under others."
    ),
    "run|runs": "One trained network: one combination of settings with one seed.",
    "running statistics": (
        "Means and variances that batch normalization collects during training, for use "
        "afterwards."
    ),
    "SD": "Standard deviation: how far single values typically lie from their mean.",
    "saturated|saturate|saturates": (
        "In the range where an activation is so flat that the weights before it hardly learn."
    ),
    "seed|seeds": (
        "The number that all randomness of a training follows from. The same seeds are used "
        "for every setting."
    ),
    "settled": (
        "Distinguished from chance: an interval that holds together with all others of its "
        "kind excludes zero."
    ),
    "SGD|sgd": "Stochastic gradient descent: steps against the gradient of a minibatch.",
    "share|shares": "How much of all differences between the cells one factor accounts for.",
    "sigmoid|sigmoids|tanh": "Activations that flatten out for large inputs.",
    "simple effect|simple effects": "The effect of one setting at fixed values of the others.",
    "supported|refuted": (
        "Whether the interval lies inside the range that the claim names, or outside of it."
    ),
    "test": "Images that were not trained on.",
    "validation": "Images held out of training, on which settings are chosen.",
    "weight decay": "Pulling all weights a little towards zero at each step.",
    "Šidák|Holm|Bonferroni": (
        "Ways to widen intervals or raise p-values when many comparisons are made, so that "
        "chance alone finds nothing."
    ),
}
_FORMS = {form: forms.split("|")[0] for forms in TERMS for form in forms.split("|")}
_LOWER = {form.lower(): name for form, name in _FORMS.items()}
_MEANING = {forms.split("|")[0]: meaning for forms, meaning in TERMS.items()}


def _pattern() -> re.Pattern[str]:
    """Return what finds the longest form first; BN and SD keep their capitals."""
    forms = sorted(_FORMS, key=lambda form: (-len(form), form))
    told = [
        "|".join(map(re.escape, group)) if exact else f"(?i:{'|'.join(map(re.escape, group))})"
        for exact, group in groupby(forms, key=lambda form: form == "n" or form.isupper())
    ]
    return re.compile(rf"(?<![\w.=/-])(?:{'|'.join(told)})(?![\w=/-]|\.\w)")


_FOUND = _pattern()


@dataclass(frozen=True)
class Term:
    """A word of the glossary, with the id that it has on a page."""

    name: str
    meaning: str

    @property
    def id(self) -> str:
        """Return what a link to it says."""
        return "term-" + re.sub(r"\W+", "-", self.name.lower())


class Glossary:
    """The terms of one page: those that its texts have used so far."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._here: set[str] = set()

    @property
    def used(self) -> list[Term]:
        """Return them by the alphabet."""
        return [term(name) for name in sorted(self._used, key=str.lower)]

    def section(self) -> str:
        """Begin a part of the page, in which each term is marked once; it says nothing."""
        self._here = set()
        return ""

    def mark(self, text: str) -> Markup:
        """Return a text, escaped, whose terms are links to what they mean."""
        parts, at = [], 0
        shown = typeset(visible(text))
        for found in _FOUND.finditer(shown):
            one = term(_LOWER[found[0].lower()])
            if one.name in self._here:
                continue
            self._here.add(one.name)
            parts += [
                escape(shown[at : found.start()]),
                Markup(
                    '<a class="term" href="#{id}" aria-describedby="{id}" data-means="{means}">'
                    "{word}</a>"
                ).format(id=one.id, means=one.meaning, word=found[0]),
            ]
            at = found.end()
        self._used |= self._here
        return Markup("").join([*parts, escape(shown[at:])])

    def note(self, texts: Iterable[str]) -> str:
        """Take up the terms of texts that are shown later; it says nothing."""
        for text in texts:
            self._used |= names_in(text)
        return ""


def term(name: str) -> Term:
    """Return a term by its name."""
    return Term(name, _MEANING[name])


def names_in(text: str) -> set[str]:
    """Return the terms that a text uses."""
    return {_LOWER[found.lower()] for found in _FOUND.findall(text)}
