"""The reward variants, declared as linear combinations of log-probabilities.

Every variant is r(y) = Σ_k a_k · L_{m_k}(y | c_k), with for each term a coefficient a, a role m (strong or weak) and a
conditioning c.
The formulas are those of the CDR paper (arXiv 2411.02481), equations 7, 8 and 10, Table 1 and appendix B.2.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from ..errors import UserError
from .conditioning import EMPTY, IDENTITY, Conditioning
from .criteria import Criteria

Role = Literal["strong", "weak"]
ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Route:
    """Picks a conditioning for each item: by section, or as a checkpoint routes the prompt (ROUTER)."""

    name: str


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a reward: coefficient times the role's log-probability under a conditioning."""

    coefficient: float
    role: Role
    conditioning: Conditioning | Route


@dataclass(frozen=True, slots=True)
class Variant:
    """A named reward."""

    name: str
    terms: tuple[Term, ...]
    formula: str

    @property
    def uses_weak(self) -> bool:
        """Whether the weak checkpoint enters the reward at all."""
        return any(term.role == "weak" for term in self.terms)

    @property
    def uses_router(self) -> bool:
        """Whether a checkpoint has to say first which domain each item belongs to."""
        return any(term.conditioning == Route(ROUTER) for term in self.terms)


def _ratio(conditioning: Conditioning | Route) -> tuple[Term, Term]:
    return Term(1.0, "strong", conditioning), Term(-1.0, "weak", conditioning)


def declare_variants(criteria: Criteria) -> dict[str, Variant]:
    """All variants that a criteria file gives rise to, by name, in the order in which they are reported."""
    variants = [
        Variant("vanilla", _ratio(IDENTITY), "L_s(y|x) − L_w(y|x)"),
        Variant("likelihood", (Term(1.0, "strong", IDENTITY),), "L_s(y|x)"),
    ]
    for domain in criteria.domains:
        formula = f"L_s(y|T(x)) − L_w(y|T(x)), T = {domain}"
        variants.append(Variant(f"cdr-{domain}", _ratio(Conditioning("criteria", domain)), formula))
    for route, sections in criteria.routes.items():
        chosen = ", ".join(f"{section} → {domain}" for section, domain in sections.items())
        formula = f"L_s(y|T(x)) − L_w(y|T(x)), T by section: {chosen}, else x"
        variants.append(Variant(f"cdr-adaptive-{route}", _ratio(Route(route)), formula))
    if criteria.router is not None:
        formula = "L_s(y|T(x)) − L_w(y|T(x)), T as a checkpoint routes the prompt"
        variants.append(Variant("cdr-adaptive-router", _ratio(Route(ROUTER)), formula))
    for domain in criteria.domains:
        terms = (Term(1.0, "strong", Conditioning("criteria", domain)), Term(-1.0, "strong", IDENTITY))
        variants.append(Variant(f"prompt-delta-{domain}", terms, f"L_s(y|T(x)) − L_s(y|x), T = {domain}"))
    for domain in criteria.domains:
        strong, weak = _ratio(Conditioning("criteria", domain))
        terms = (strong, Term(-1.0, "strong", EMPTY), weak, Term(1.0, "weak", EMPTY))
        formula = f"[L_s(y|T(x)) − L_s(y|∅)] − [L_w(y|T(x)) − L_w(y|∅)], T = {domain}"
        variants.append(Variant(f"pmi-{domain}", terms, formula))
    for domain in criteria.domains:
        orders = (Conditioning("judge-first", domain), Conditioning("judge-second", domain))
        terms = tuple(Term(0.5, "strong", order) for order in orders)
        formula = f"½ L_s(A|J(y, y′)) + ½ L_s(B|J(y′, y)), J asks which is better under {domain}"
        variants.append(Variant(f"judge-{domain}", terms, formula))
    return {variant.name: variant for variant in variants}


def select_variants(names: Iterable[str], declared: dict[str, Variant]) -> tuple[Variant, ...]:
    """The variants asked for, in the order of `declared`; `all` stands for every one.

    Raises UserError for a name that the criteria file does not give rise to.
    """
    wanted = set(names)
    if not wanted:
        raise UserError(f"No reward variant is asked for; pass some of {', '.join(declared)}, or all.")
    for name in sorted(wanted - declared.keys() - {"all"}):
        near = get_close_matches(name, declared, n=3) or list(declared)
        raise UserError(f"There is no reward variant {name!r}; did you mean {', '.join(near)}?")
    return tuple(variant for name, variant in declared.items() if name in wanted or "all" in wanted)
