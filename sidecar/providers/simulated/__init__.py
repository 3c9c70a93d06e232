"""The simulated provider: three vendors' shapes, scripted faults, a ledger of its own.

Demo, tests and benchmarks all use it, so it behaves as a provider does (it bills what
it emitted although nobody read it) and never as the sidecar would like it to. It
refuses to know anything of the sidecar: its ledger is the oracle that money is checked
against, so it shares no code with what is checked.
"""

from sidecar.providers.simulated.server import SimulatedServer

__all__ = ["SimulatedServer"]
