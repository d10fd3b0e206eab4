"""Names for containers that were given none: a trait and the surname of somebody who advanced a science."""

from __future__ import annotations

import os


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_TRAITS = _words(
    "able agile airy amber ample apt azure balmy blithe bold brave breezy bright brisk calm candid "
    "careful cheery civil clear clever cool cosy crisp curious daring deft dewy eager early earnest easy "
    "elated fair fleet fluent fond frank fresh frosty game genial gentle glad gleaming golden graceful "
    "grand green happy hardy hearty honest humble ideal jaunty jolly jovial just keen kind lasting leafy "
    "level light lively loyal lucid lucky lunar mellow merry mild modest neat nimble noble open patient "
    "placid plain pleasant plucky polite prompt proper quick quiet ready regal robust rosy round serene "
    "sharp shiny silent silver simple sleek smart snug sober solar solid sound spry stable steady stellar "
    "still sturdy subtle sunny sure swift tender thrifty tidy tranquil trim true trusty upbeat useful "
    "valiant vast vivid warm wise witty"
)

_SURNAMES = _words(
    "abel ada agnesi airy ampere archimedes aryabhata avogadro babbage banach banneker bartik bayes "
    "becquerel bell bernoulli bessel blackwell bohr boole borel brahe brahmagupta burnell cannon cantor "
    "carson cauchy cavendish celsius chandra church clarke coriolis coulomb crick curie dalton darwin "
    "dedekind descartes dijkstra dirac doppler eddington edison einstein engelbart erdos euclid euler "
    "faraday fermat fermi feynman fibonacci fourier franklin fresnel galois galvani gauss germain gibbs "
    "goodall hamilton hardy heaviside herschel hertz hilbert hodgkin holberton hooke hopper huygens "
    "hypatia jacobi jacquard jemison johnson joule kalam kelvin kepler khayyam kilby knuth kolmogorov "
    "kovalevskaya lagrange lamarr laplace lavoisier leavitt legendre leibniz levi lovelace lumiere lyell "
    "maxwell mayer mccarthy mendel mendeleev mirzakhani moser napier nash newton noether ohm oppenheimer "
    "pascal pasteur pauli perlman pike planck poincare poisson ptolemy pythagoras raman ramanujan riemann "
    "ritchie rubin rutherford sagan salk shannon snell somerville stokes tesla thompson torricelli turing "
    "vaughan villani volta wiles wing wozniak wu"
)


def random_name(attempt: int = 0) -> str:
    """``trait_surname``; from the first failed ``attempt`` on with a digit, so that a free one is found."""
    # urandom rather than random: that module costs 6 ms of a start
    number = int.from_bytes(os.urandom(4), "big")
    name = f"{_TRAITS[number % len(_TRAITS)]}_{_SURNAMES[(number >> 12) % len(_SURNAMES)]}"
    return f"{name}{os.urandom(1)[0] % 10}" if attempt else name
