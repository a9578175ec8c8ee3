"""The test kit: actors on virtual time, in an order that a seed decides, and probes to talk to them.

    async def scenario(sim: Simulation) -> None:
        probe = sim.probe()
        sim.system.spawn(Greeter, probe.ref).tell(Hello())
        await probe.expect(Greeting, within_s=60)      # takes no real time

    simulate(scenario, seed=7)

The same seed gives the same run. `explore` runs a scenario under many seeds and names the first that fails.
"""

from runtime.testkit.dispatcher import SeededDispatcher
from runtime.testkit.probe import Probe
from runtime.testkit.simulation import Simulation, explore, simulate
from runtime.testkit.virtual_loop import Deadlock, VirtualLoop

__all__ = ["Deadlock", "Probe", "SeededDispatcher", "Simulation", "VirtualLoop", "explore", "simulate"]
