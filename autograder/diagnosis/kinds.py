"""The kinds of mistake that can be told from values, in the words that a student reads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One change that explains an answer: its kind, and the arguments it is about."""

    kind: str
    about: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """Changes of one family are one mistake in a student's eyes."""
        return KINDS[self.kind].family

    @property
    def name(self) -> str:
        """The mistake as a phrase, without a full stop."""
        return KINDS[self.kind].name.format(*self.about)

    @property
    def hint(self) -> str:
        """What to look at, one sentence."""
        return KINDS[self.kind].hint.format(*self.about)


@dataclass(frozen=True)
class Kind:
    """A kind of mistake; a vague one is told only where no clearer kind agrees."""

    family: str
    name: str
    hint: str
    vague: int = 0


_SIGN = "Follow each minus of the derivation down to the last line."
_FACTOR = "Check every number that multiplies or divides, one line of the derivation after the other."
_ROOT = "Ask of each quantity whether it is a variance or a standard deviation: one is the root of the other."
_INDEX = "Write down which entry of the table belongs to t = 1, and go on from there."
_SUM = "Ask of every axis whether it is summed, averaged or kept."
_COUNT = "Say what is summed, and how many of them there are: by that many it is divided, and by nothing else."
_LOG = "Ask of each quantity whether it is given as itself or as its logarithm."
_CLIP = "The formula holds everywhere: nothing is clamped, floored or protected by a small constant."
_ORDER = "Look at which end of the table or axis each step begins."
_INVERSE = "Ask of each quantity whether it multiplies or divides."
_BENT = "Ask of each quantity where it may lie: nothing that can be any number is squashed or bent."
_BATCH = "Every example has its own: index and reshape the whole batch, never its first entry."

KINDS: dict[str, Kind] = {
    # of the result
    "twice the result": Kind("factor", "every value is twice what it should be: a factor 1/2 is missing", _FACTOR),
    "multiple of the result": Kind("factor", "all values are off by one and the same factor", _FACTOR, vague=1),
    "half the result": Kind("factor", "every value is half of what it should be: a factor is lost", _FACTOR),
    "sign of the result": Kind("sign", "the sign is turned", _SIGN),
    "square of the result": Kind("power", "the result is squared: a root is missing", _ROOT),
    "root of the result": Kind("power", "the result is the root of what was asked for", _ROOT),
    "inverse of the result": Kind("inverse", "the result is upside down", _INVERSE),
    "exp of the result": Kind("logarithm", "the logarithm at the end is missing", _LOG),
    "log of the result": Kind("logarithm", "the result is the logarithm of what was asked for", _LOG),
    "bits": Kind("unit", "bits in place of nats", "The course counts in nats: nothing is divided by log 2 here."),
    "nats": Kind("unit", "nats in place of bits", "A bit is log 2 nats: divide where bits are asked for."),
    "rest of the result": Kind("rest", "one minus the value in place of the value", "Signal and noise add up to one."),
    "size of the result": Kind("sign", "the sign is lost", "Nothing in the formula takes an absolute value."),
    "one added": Kind("term", "a 1 is left over", "Put in a case where both sides are known, and see what remains."),
    "one taken away": Kind("term", "a 1 too much is taken away", "Put in a case where both sides are known."),
    "average": Kind("mean", "averaged over everything", _SUM),
    "total": Kind("mean", "summed over everything, the batch as well", _SUM),
    "average of the result": Kind("mean", "every example got the average of all", _SUM),
    "floor of the result": Kind("clip", "the result is kept from falling below a bound", _CLIP),
    "clip of the result": Kind("clip", "the result is clipped", _CLIP),
    "single precision": Kind("precision", "computed in single precision", "Keep the dtype of the inputs throughout."),
    "double precision": Kind(
        "precision", "the dtype of the inputs is lost", "Keep the dtype of the inputs throughout."
    ),
    "order of the result": Kind("order", "the result runs the wrong way round", _ORDER),
    "running result": Kind("running", "summed up along the table once too often", _ORDER),
    "early result": Kind("index", "the result is shifted: each entry holds its predecessor's value", _INDEX),
    "late result": Kind("index", "the result is shifted: each entry holds its successor's value", _INDEX),
    "short result": Kind("length", "one entry is missing", "A table for t = 0 to T has T + 1 entries; count yours."),
    "long result": Kind("length", "one entry too many", "A table for t = 0 to T has T + 1 entries; count yours."),
    "first of the result": Kind("one time", "every example got the first one's value", _BATCH),
    "form of the result": Kind("form", "right values in a wrong form", "Compare the shape with the one asked for."),
    "normalised result": Kind("normalised", "the result is made to sum to one", "Nothing asks for a sum of one here."),
    "mean over the event": Kind("mean", "averaged over the event where a sum belongs", _SUM),
    "sum over the event": Kind("mean", "summed over the event where a mean belongs", _SUM),
    "mean over the batch": Kind("mean", "divided by the size of the batch", _SUM),
    "sum over the batch": Kind("mean", "summed over the batch where a mean belongs", _SUM),
    "mean over everything": Kind("mean", "divided by the number of all entries", _SUM),
    "sum over everything": Kind("mean", "summed over all entries where a mean belongs", _SUM),
    "mean but one": Kind("mean", "divided by one less than the number of examples", _SUM),
    "sum but one": Kind("mean", "multiplied by one less than the number of examples, over the number", _SUM),
    "counted": Kind("mean", "divided by another count than the one asked for", _COUNT),
    "constant in the result": Kind("clip", "a small constant is added", _CLIP),
    "bent result": Kind("activation", "an activation is applied to the result", _BENT),
    "rounded result": Kind("rounding", "the result is rounded", "Nothing in the formula rounds."),
    "base ten": Kind("unit", "a logarithm of base 10 in place of the natural one", "The course counts in nats."),
    "decibels": Kind("unit", "decibels in place of nats", "The course counts in nats: the logarithm as it is."),
    "halves exchanged": Kind(
        "exchange", "the two halves of the last axis are exchanged", "Return them in the order asked for."
    ),
    "summed away": Kind("mean", "an axis too many is summed over", _SUM),
    "averaged away": Kind("mean", "an axis too many is averaged over", _SUM),
    "average over the event": Kind("mean", "all entries of an example got their average", _SUM),
    "last of the result": Kind("length", "only the last of all entries is returned", "Return one for each."),
    "first alone": Kind("length", "only the first of all entries is returned", "Return one for each."),
    "axes of the result": Kind("axis", "the axes of the result are exchanged", "Compare the shape, axis by axis."),
    "hard result": Kind(
        "hard", "the largest takes all, where each has its share", "Weights are weights: nothing is decided by argmax."
    ),
    "diagonal of the result": Kind("axis", "only the diagonal is filled", "What is beside the diagonal counts too."),
    "negated logarithm": Kind("logarithm", "minus a logarithm, or an exponential, in place of the value", _LOG),
    "complement of the exponential": Kind("logarithm", "1 - exp of the value in place of the value", _LOG),
    "parts exchanged": Kind("exchange", "the parts of the result are exchanged", "Return them in the order asked for."),
    # of an argument
    "turned": Kind(
        "mask",
        "{0} is turned round: True and False change places",
        "Say in words what True means in {0}.",
    ),
    "one more": Kind("term", "{0} + 1 where {0} belongs", "Put in a case where the answer is known, such as 0."),
    "one less": Kind("term", "{0} - 1 where {0} belongs", "Put in a case where the answer is known, such as 0."),
    "at least": Kind(
        "boundary", "the smallest {0} is treated like the next one", "Go through the first and the last step by hand."
    ),
    "at most": Kind(
        "boundary", "the largest {0} is treated like the one before", "Go through the first and the last step by hand."
    ),
    "hard": Kind("hard", "the largest of {0} takes all", "Weights are weights: nothing is decided by argmax."),
    "diagonal": Kind("axis", "only the diagonal of {0} is used", "What is beside the diagonal counts too."),
    "one for all": Kind("one time", "one entry of {0} serves for all", _BATCH),
    "order of axis": Kind("order", "{0} is read from the wrong end", _ORDER),
    "answer's sign": Kind("sign", "what {0} answers enters with the wrong sign", _SIGN),
    "answer's half": Kind("factor", "what {0} answers enters by half", _FACTOR),
    "answer's double": Kind("factor", "what {0} answers enters doubled", _FACTOR),
    "answer unused": Kind("unused", "what {0} answers is not used", "Look where the answer enters."),
    "answer clipped": Kind("clip", "what {0} answers is clipped", _CLIP),
    "answer bent": Kind("activation", "what {0} answers goes through an activation", _BENT),
    "answer's root": Kind("power", "a root or a square of what {0} answers in its place", _ROOT),
    "answer's logarithm": Kind("logarithm", "a logarithm or exponential of what {0} answers in its place", _LOG),
    "answer averaged": Kind("mean", "the average of what {0} answers in its place", _SUM),
    "compared with": Kind(
        "exchange",
        "what {0} answers is compared with {1} in place of {2}",
        "Say what {0} predicts.",
    ),
    "clipped guess": Kind("clip", "the predicted x_0 is clipped", _CLIP),
    "larger variance": Kind(
        "variance", "{0} comes in with the variance beta_t", "One step back has the posterior's variance, the smaller."
    ),
    "asked once": Kind("index", "{0} is asked once, and its answer used for every step", _INDEX),
    "asked with": Kind(
        "exchange", "{0} is asked with {1} in another one's place", "Go through what {0} takes, in its order."
    ),
    "asked exchanged": Kind(
        "exchange", "what {0} takes is handed over in another order", "Go through what {0} takes, in its order."
    ),
    "unused in asking": Kind(
        "unused", "{0} is not told the last of what it takes", "Go through what {0} takes, in its order."
    ),
    "asked with one": Kind("one time", "{0} is asked with one and the same for the whole batch", _BATCH),
    "early": Kind("index", "one step early in {0}", _INDEX),
    "late": Kind("index", "one step late in {0}", _INDEX),
    "one time": Kind("one time", "one time for the whole batch", _BATCH),
    "first of": Kind("one time", "the first entry of {0} serves for all", _BATCH),
    "order": Kind("order", "a table or batch is read in the wrong order", _ORDER),
    "sign of": Kind("sign", "{0} enters with the wrong sign", _SIGN),
    "half of": Kind("factor", "{0} enters by half", _FACTOR),
    "twice": Kind("factor", "{0} enters doubled", _FACTOR),
    "root of": Kind("power", "the root of {0} where {0} belongs", _ROOT),
    "square of": Kind("power", "the square of {0} where {0} belongs", _ROOT),
    "exp of": Kind("logarithm", "exp({0}) where {0} belongs", _LOG),
    "log of": Kind("logarithm", "log({0}) where {0} belongs", _LOG),
    "default of": Kind(
        "default",
        "another number serves for {0} where none is handed over",
        "Compare the default of {0} with the one in the text.",
    ),
    "unused": Kind("unused", "{0} is not used", "Every argument is there for a reason: look where {0} enters."),
    "inverse of": Kind("inverse", "1 / {0} where {0} belongs", _INVERSE),
    "rest of": Kind("rest", "1 - {0} where {0} belongs", "Signal and noise add up to one: ask which of them is meant."),
    "size of": Kind("sign", "the sign of {0} is lost", "Nothing in the formula takes an absolute value."),
    "clip of": Kind("clip", "{0} is clipped", _CLIP),
    "floor of": Kind("clip", "{0} is kept from falling below a bound", _CLIP),
    "constant in": Kind("clip", "a small constant is added to {0}", _CLIP),
    "average of": Kind("mean", "an average of {0} stands for its entries", _SUM),
    "transpose of": Kind("axis", "{0} is transposed", "Write the shapes beside every product."),
    "early table": Kind("index", "{0} is shifted: each entry is read one step early", _INDEX),
    "late table": Kind("index", "{0} is shifted: each entry is read one step late", _INDEX),
    "running table": Kind(
        "running",
        "the running product of {0} where {0} belongs",
        "alpha belongs to one step, alpha_bar to all steps so far.",
    ),
    "steps of table": Kind(
        "running",
        "one step's value where the running product {0} belongs",
        "alpha belongs to one step, alpha_bar to all steps so far.",
    ),
    "exchanged": Kind(
        "exchange", "{0} and {1} are exchanged", "Go through the arguments in the order of the signature."
    ),
    "times": Kind("factor", "{0} is multiplied by {1}", _FACTOR),
    "divided by": Kind("factor", "{0} is divided by {1}", _FACTOR),
    "plus": Kind("term", "{1} is added to {0}", "Count the terms of the last line of the derivation, and yours."),
    "minus": Kind("term", "{1} is taken from {0}", "Count the terms of the last line of the derivation, and yours."),
    "in place of": Kind("exchange", "{0} in place of {1}", "Go through the arguments in the order of the signature."),
    "choices of": Kind("exchange", "two choices of {0} are exchanged", "Go through the choices that {0} offers."),
    "choice of": Kind("unused", "one choice of {0} is treated like another", "Go through the choices that {0} offers."),
    "fresh": Kind(
        "fresh",
        "fresh noise is drawn in place of {0}",
        "{0} is handed over so that nothing random happens inside: draw nothing, and use it as it is.",
    ),
    "standardised": Kind("normalised", "{0} is centred or standardised first", "Use {0} as it is handed over."),
    "normalised": Kind("normalised", "{0} is made to sum to one first", "Use {0} as it is handed over."),
    "signs of": Kind("rounding", "of {0} only the signs are used", "Use {0} as it is handed over."),
    "unit length": Kind("normalised", "{0} is brought to one length first", "Use {0} as it is handed over."),
    "bent": Kind("activation", "{0} goes through an activation first", _BENT),
    "rounded": Kind("rounding", "{0} is rounded first", "Use {0} as it is handed over."),
    # of a module
    "no bias": Kind("parameter", "{0} has no bias", "Go through the parameters that the text asks for."),
    "start": Kind("start", "{0} starts from other values", "Read once more what the layer is at first, and set it so."),
    "residual": Kind("term", "what {0} takes is added to what it gives", "Count the terms of the last line."),
    "unpadded": Kind("padding", "{0} has no padding", "Compare the shape with the one asked for."),
    "repeated": Kind("padding", "{0} repeats what is at the ends", "Beyond the ends there are zeros."),
    "bent after": Kind("activation", "an activation follows {0}", _BENT),
    "detached": Kind(
        "gradient", "no gradient goes through {0}", "No detach, no item and no no_grad between inputs and result."
    ),
    # of one operation
    "sign": Kind("sign", "one term has the wrong sign", _SIGN),
    "term": Kind("term", "one term is missing", "Count the terms of the last line of the derivation, and yours."),
    "factor": Kind("factor", "one factor is missing", _FACTOR),
    "inverse": Kind("inverse", "something multiplies that should divide, or divides that should multiply", _INVERSE),
    "rest": Kind(
        "rest",
        "1 minus a quantity stands where it belongs itself",
        "Signal and noise add up to one: ask which of them is meant.",
    ),
    "power": Kind("power", "a square or a root is missing, or one too many", _ROOT),
    "root": Kind("power", "a root is missing, or one too many", _ROOT),
    "square": Kind("power", "a square is missing", _ROOT),
    "logarithm": Kind("logarithm", "a logarithm or exponential is missing, or one too many", _LOG),
    "logarithms": Kind(
        "logarithms",
        "an average of logarithms in place of the logarithm of an average",
        "The logarithm stands outside: average the weights first, then take its logarithm, by logsumexp.",
    ),
    "gradient": Kind(
        "gradient",
        "the gradient is not the loss's own",
        "Clear what is left over, call backward on the loss alone, let the optimiser step: in this order, once each.",
    ),
    "asked early": Kind("index", "{0} is asked one step early", _INDEX),
    "asked late": Kind("index", "{0} is asked one step late", _INDEX),
    "single": Kind("precision", "computed in single precision", "Keep the dtype of the inputs throughout."),
    "base": Kind(
        "unit", "a logarithm of another base", "The course counts in nats: every logarithm is the natural one."
    ),
    "mean": Kind("mean", "a mean where a sum belongs, or the reverse", _SUM),
    "axis": Kind("axis", "something meets, or is summed over, the wrong axis", _SUM),
    "read early": Kind("index", "a table is read one step early", _INDEX),
    "read late": Kind("index", "a table is read one step late", _INDEX),
    "index": Kind("index", "one step too many or too few", _INDEX),
    "boundary": Kind(
        "boundary",
        "a case at the boundary is treated like its neighbours",
        "Go through the first and the last step by hand.",
    ),
    "exchange": Kind(
        "exchange", "two things stand in each other's place", "Name what each of the two is for, then look again."
    ),
    "running": Kind("running", "a running sum or product where none belongs, or none where one does", _ORDER),
    "clip": Kind("clip", "a bound is missing, or one too many", "Read what the text says about bounds once more."),
    "rounding": Kind("rounding", "rounded in another way", "Read how the text rounds, and what happens to ties."),
    "call": Kind(
        "call", "one function is not applied, or another one is", "Go through the formula from the inside out.", vague=2
    ),
    "constant": Kind("constant", "one number in the formula is off", "Check every number of the formula.", vague=2),
    "operation": Kind(
        "operation",
        "one operation is not the one that belongs there",
        "Go through the formula, operation by operation.",
        vague=2,
    ),
    "another function": Kind(
        "call", "one function stands where another belongs", "Go through the formula from the inside out.", vague=1
    ),
    "quantity": Kind(
        "quantity", "one quantity stands where another belongs", "Go through the formula, symbol by symbol.", vague=1
    ),
}


def vagueness(kind: str) -> int:
    """How little a kind says: 0 for one that can be acted on."""
    return KINDS[kind].vague
