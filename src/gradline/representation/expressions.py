"""The grammar of derived numbers: what `--derive` takes.

    expression = "log(" column ")"  |  "spline(" column "," knots ")"  |  factor { "*" factor }
    factor     = ( column | "(" column ( "-" | "+" ) number ")" ) [ "^" power ]

`distance^2`, `distance*hour`, `(distance-1000)^2`, `log(distance)`, `spline(hour,4)`, `origin*distance`. A column whose name holds
one of * ^ ( ) , or a quote stands in double quotes, with its own doubled. What a name says is what is computed:
`distance^2` is distance times distance.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from gradline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_POWER = 12  # of a product, all factors together
QUANTILES: Mapping[int, tuple[float, ...]] = {  # where the knots stand (Harrell, Regression Modeling Strategies, table 2.3)
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
    6: (0.05, 0.23, 0.41, 0.59, 0.77, 0.95),
    7: (0.025, 0.1833, 0.3417, 0.50, 0.6583, 0.8167, 0.975),
}
MOST_CHARACTERS = 1_000
HINT = "write column^2, a*b, (column-1000)^2, log(column) or spline(column,4); a name that holds one of * ^ ( ) , stands in double quotes."
_TOKEN = re.compile(r'\s*(?:(?P<quoted>"(?:[^"]|"")*")|(?P<sign>[*^(),])|(?P<bare>[^*^(),"\s](?:[^*^(),"]*[^*^(),"\s])?))\s*')
_SHIFT = re.compile(r"(?P<name>.*?)\s*(?P<sign>[-+])\s*(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)", re.DOTALL)
_PLAIN = re.compile(r'[^*^(),"\s](?:[^*^(),"]*[^*^(),"\s])?')


@dataclass(frozen=True, slots=True)
class Factor:
    """(column − shift)^power."""

    column: str
    power: int = 1
    shift: float = 0.0

    def __str__(self) -> str:
        base = quoted(self.column)
        if self.shift:
            base = _in_quotes(self.column) if "-" in base or "+" in base else base  # (a-1e-5): of a-1e, or of a?
            base = f"({base}{'-' if self.shift > 0 else '+'}{_number(abs(self.shift))})"
        return base if self.power == 1 else f"{base}^{self.power}"


@dataclass(frozen=True, slots=True)
class Product:
    """A product of powers; each (column, shift) stands in one factor."""

    factors: tuple[Factor, ...]

    def __str__(self) -> str:
        return "*".join(map(str, self.factors))

    @property
    def columns(self) -> tuple[str, ...]:
        """The decoded columns that it is made of, each once."""
        return tuple(dict.fromkeys(factor.column for factor in self.factors))

    @property
    def key(self) -> frozenset[Factor]:
        """The same for a*b and b*a."""
        return frozenset(self.factors)


@dataclass(frozen=True, slots=True)
class Logarithm:
    """The natural logarithm of a column."""

    column: str

    def __str__(self) -> str:
        return f"log({quoted(self.column)})"

    @property
    def columns(self) -> tuple[str, ...]:
        """The decoded column that it is made of."""
        return (self.column,)

    @property
    def key(self) -> Logarithm:
        """Itself."""
        return self


@dataclass(frozen=True, slots=True)
class Spline:
    """A natural cubic spline of a column with so many knots: the column itself and `knots` − 2 terms more."""

    column: str
    knots: int

    def __str__(self) -> str:
        return f"spline({quoted(self.column)},{self.knots})"

    @property
    def columns(self) -> tuple[str, ...]:
        """The decoded column that it is made of."""
        return (self.column,)

    @property
    def key(self) -> Spline:
        """Itself."""
        return self


Expression = Product | Logarithm | Spline


def quoted(column: str) -> str:
    """A column's name as it stands in an expression."""
    return column if _PLAIN.fullmatch(column) else _in_quotes(column)


def _in_quotes(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) and value < 1e15 else repr(value)


class _Token(NamedTuple):
    """kind: `sign`, `name` (in quotes), `bare` or `end`.  at: its first character, counted from 1."""

    kind: str
    text: str
    at: int


def parse(text: str, where: str = "--derive") -> Expression:
    """The expression that a text is. Raises UsageError. where: what the message calls the place."""
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{where}: an expression of {len(text):,} characters is too long.", HINT)
    return _Parser(text, where).expression()


class _Parser:
    def __init__(self, text: str, where: str) -> None:
        self._text, self._where = text, where
        self._tokens = self._cut()
        self._next = 0

    def _cut(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self._text):
            found = _TOKEN.match(self._text, at)
            if found is None:  # a quote without its end, or blanks at the end
                rest = self._text[at:].lstrip()
                if not rest:
                    break
                self._refuse("a quote that ends", _Token("bare", rest, len(self._text) - len(rest) + 1))
            kind = found.lastgroup or ""
            word = found.group(kind)
            if kind == "quoted":
                kind, word = "name", word[1:-1].replace('""', '"')
            tokens.append(_Token(kind, word, found.start(found.lastgroup or 0) + 1))
            at = found.end()
        return [*tokens, _Token("end", "", len(self._text) + 1)]

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next += 1
        return token

    def _refuse(self, expected: str, got: _Token) -> NoReturn:
        shown = "the end" if got.kind == "end" else repr(got.text[:40])
        raise UsageError(f"{self._where} {self._text[:80]!r}: expected {expected} at character {got.at}, got {shown}.", HINT)

    def _sign(self, sign: str, expected: str) -> None:
        token = self._take()
        if token.kind != "sign" or token.text != sign:
            self._refuse(expected, token)

    def _cannot(self, why: str, hint: str = HINT) -> NoReturn:
        raise UsageError(f"{self._where} {self._text[:80]!r}: {why}", hint)

    def expression(self) -> Expression:
        first, second = self._peek(), self._tokens[min(self._next + 1, len(self._tokens) - 1)]
        called = first.kind == "bare" and second.kind == "sign" and second.text == "("
        if called and first.text not in ("log", "spline"):
            self._cannot(f"there is no function {first.text[:40]!r}.", "there are log(column) and spline(column,4).")
        found: Expression
        if called:
            self._next += 2
            found = self._spline() if first.text == "spline" else Logarithm(self._column())
            self._sign(")", ")")
        else:
            found = self._product()
        if self._peek().kind != "end":
            self._refuse("the end", self._peek()) if called else self._refuse("* or the end", self._peek())
        return found

    def _column(self) -> str:
        token = self._take()
        if token.kind not in ("bare", "name") or not token.text:
            self._refuse("a column", token)
        return token.text

    def _spline(self) -> Spline:
        column = self._column()
        self._sign(",", ", and the number of knots")
        token = self._take()
        if token.kind != "bare" or not re.fullmatch(r"[0-9]{1,9}", token.text):
            self._refuse("a number of knots", token)
        knots = int(token.text)
        if knots not in QUANTILES:
            self._cannot(
                f"{knots} knots cannot be.", f"give {min(QUANTILES)} to {max(QUANTILES)}; 4 bend a line, 5 or more a curve."
            )
        return Spline(column, knots)

    def _product(self) -> Product:
        factors = [self._factor()]
        while self._peek().kind == "sign" and self._peek().text == "*":
            self._next += 1
            factors.append(self._factor())
        powers: dict[tuple[str, float], int] = {}
        for factor in factors:
            powers[factor.column, factor.shift] = powers.get((factor.column, factor.shift), 0) + factor.power
        merged = tuple(Factor(column, power, shift) for (column, shift), power in powers.items())
        total = sum(factor.power for factor in merged)
        if total == 1:
            why = "it is the column itself" if not merged[0].shift else "beside the intercept it says what the column itself says"
            self._cannot(f"{why}, which needs no deriving.")
        if total > MOST_POWER:
            self._cannot(f"its powers add up to {total}, past {MOST_POWER}.", "take a spline: spline(column,5).")
        return Product(merged)

    def _factor(self) -> Factor:
        if self._peek().kind == "sign" and self._peek().text == "(":
            self._next += 1
            base = self._shifted()
            self._sign(")", ")")
        else:
            base = Factor(self._column())
        if self._peek().kind == "sign" and self._peek().text == "^":
            self._next += 1
            token = self._take()
            if token.kind != "bare" or not re.fullmatch(r"[0-9]{1,9}", token.text) or int(token.text) < 1:
                self._refuse("a whole power from 1", token)
            return replace(base, power=int(token.text))
        return base

    def _shifted(self) -> Factor:
        """Within the parentheses: a name and a number to take off or to add."""
        token = self._take()
        if token.kind == "name":
            rest = self._take()
            found = _SHIFT.fullmatch(rest.text) if rest.kind == "bare" else None
            if found is None or found["name"]:
                self._refuse("a number to take off, as in (column-1000)", rest)
            return Factor(self._known(token), shift=self._amount(found, rest))
        found = _SHIFT.fullmatch(token.text) if token.kind == "bare" else None
        if found is None or not found["name"]:
            self._refuse("a column and a number, as in (column-1000)", token)
        return Factor(found["name"], shift=self._amount(found, token))

    def _known(self, token: _Token) -> str:
        if not token.text:
            self._refuse("a column", token)
        return token.text

    def _amount(self, found: re.Match[str], token: _Token) -> float:
        value = float(found["number"])
        if not math.isfinite(value):
            self._refuse("a number that float64 holds", token)
        return value if found["sign"] == "-" else -value
