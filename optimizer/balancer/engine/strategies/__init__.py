"""How a backend is chosen: one class a strategy, all with the same small interface."""

from optimizer.balancer.engine.strategies.base import Random, Strategy
from optimizer.balancer.engine.strategies.bounded_load import BoundedLoad
from optimizer.balancer.engine.strategies.least_connections import LeastConnections
from optimizer.balancer.engine.strategies.maglev import Maglev
from optimizer.balancer.engine.strategies.power_of_two import PowerOfTwo
from optimizer.balancer.engine.strategies.power_of_two_ewma import PowerOfTwoEwma
from optimizer.balancer.engine.strategies.random_choice import RandomChoice
from optimizer.balancer.engine.strategies.rendezvous import Rendezvous
from optimizer.balancer.engine.strategies.ring_hash import RingHash
from optimizer.balancer.engine.strategies.round_robin import RoundRobin
from optimizer.balancer.engine.strategies.weighted_round_robin import WeightedRoundRobin

STRATEGIES: dict[str, type[Strategy]] = {
    "random": RandomChoice,
    "round_robin": RoundRobin,
    "weighted_round_robin": WeightedRoundRobin,
    "least_connections": LeastConnections,
    "p2c": PowerOfTwo,
    "p2c_ewma": PowerOfTwoEwma,
    "ring_hash": RingHash,
    "rendezvous": Rendezvous,
    "maglev": Maglev,
    "bounded_load": BoundedLoad,
}

__all__ = ["STRATEGIES", "Random", "Strategy"]
