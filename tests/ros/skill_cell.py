"""A cell with simulator, safety monitor and skill runtime as processes, driven as an operator would."""

from artifacts import SKILL
from cell import MONITOR, ON_ANY_MACHINE, PERMIT_TIMEOUT_US, ROBOTS, SIM, Reports, Safety, patient_cell
from harness import RELIABLE, Probe
from rclpy.action import ActionClient
from std_srvs.srv import Trigger
from swarm_msgs.action import ExecuteSkill
from swarm_msgs.msg import RuntimeStatus
from swarm_msgs.srv import Deploy, RollbackTo

RUNTIME = "swarm_skill_runtime"
SUCCEEDED, ABORTED, CANCELED = (ExecuteSkill.Result.SUCCEEDED, ExecuteSkill.Result.ABORTED, ExecuteSkill.Result.CANCELED)


def nanoseconds(stamp) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec


class Execution:
    """One goal of `/skill_runtime/execute`."""

    def __init__(self, probe: Probe, client: ActionClient, **goal):
        self.probe, self.feedback = probe, []
        goal = ExecuteSkill.Goal(**{"skill_id": SKILL, **goal})
        probe.wait_for(client.server_is_ready, "the action is offered")
        accepted = client.send_goal_async(goal, feedback_callback=lambda message: self.feedback.append(message.feedback))
        self.goal = probe.wait_for(accepted.done, "the goal is answered") and accepted.result()
        assert self.goal.accepted
        self._result = self.goal.get_result_async()

    @property
    def ended(self) -> bool:
        return self._result.done()

    def result(self):
        self.probe.wait_for(self._result.done, lambda: f"the goal ends; last feedback: {self.feedback[-1:]}", 60.0)
        return self._result.result().result

    @property
    def status(self) -> int:
        """The goal's status in ROS, once it has ended."""
        return self._result.result().status

    def cancel(self):
        assert self.cancel_if_running()

    def cancel_if_running(self) -> bool:
        """False where the goal had ended before."""
        answer = self.goal.cancel_goal_async()
        self.probe.wait_for(answer.done, "the cancel is answered")
        return len(answer.result().goals_canceling) == 1


class SkillCell:
    def __init__(self, start, probe: Probe, folder, workshop):
        self.start, self.probe, self.workshop = start, probe, workshop
        self.config, self.store = patient_cell(folder), folder / "store"
        self.runtime_parameters = {}
        self.client = ActionClient(probe.node, ExecuteSkill, "/skill_runtime/execute")

    def start_sim(self):
        self.sim = self.start(SIM, parameters={"cell_config": self.config, "permit_timeout_us": PERMIT_TIMEOUT_US})

    def start_monitor(self):
        self.monitor = self.start(MONITOR, parameters={**self._with_store(), **ON_ANY_MACHINE})

    def start_runtime(self):
        self.runtime = self.start(RUNTIME, parameters={**self._with_store(), "peer_timeout_ms": 2000, **self.runtime_parameters})

    def begin(self):
        self.start_sim()
        self.start_monitor()
        self.start_runtime()
        self.safety, self.reports = Safety(self.probe), Reports(self.probe)
        self.statuses = self.probe.collect(RuntimeStatus, "/skill_runtime/status", RELIABLE)
        self.safety.wait("DENY", cause="start_up")
        return self

    def deployed(self, archive):
        """All nodes run and `archive` is deployed; the safety monitor permits nothing, since nobody has reset it."""
        self.begin()

        def done():
            self.answer = self.deploy(archive)
            return self.answer.success

        # Refused until the runtime has heard every arm.
        self.probe.wait_for(done, lambda: f"{archive} is deployed: {self.answer.message}")
        return self

    def ready(self, archive):
        """As `deployed`, and the cell is READY."""
        self.deployed(archive)
        self.safety.make_ready()
        return self

    def deploy(self, archive, **request):
        return self.probe.call(Deploy, "/skill_runtime/deploy", Deploy.Request(csa_path=str(archive), **request), timeout=60.0)

    def reload(self):
        return self.probe.call(Trigger, "/skill_runtime/reload", timeout=60.0)

    def rollback(self):
        return self.probe.call(Trigger, "/skill_runtime/rollback", timeout=60.0)

    def rollback_to(self, version: str):
        return self.probe.call(RollbackTo, "/skill_runtime/rollback_to", RollbackTo.Request(version=version), timeout=60.0)

    def execute(self, **goal) -> Execution:
        return Execution(self.probe, self.client, **goal)

    def succeeds(self):
        """A whole run of all roles, from start to success."""
        result = self.execute().result()
        assert result.outcome == SUCCEEDED, result.message
        return result

    def running(self, **goal) -> Execution:
        """A run in which the leader's arm moves when this returns."""
        run = self.execute(**goal)
        self.wait_moving(lambda: run.ended and f"the run has ended: {run.result().message}")
        return run

    def running_again(self) -> Execution:
        """As `running`, after a restart: refused until the runtime hears every arm again, which discovery may take seconds for."""

        def started():
            run = self.execute()
            self.probe.wait_for(lambda: run.ended or run.feedback, "the goal is taken up")
            if run.ended:
                assert "ms old" in run.result().message, run.result().message
            return None if run.ended else run

        run = self.probe.wait_for(started, "a run starts")
        self.wait_moving(lambda: run.ended and f"the run has ended: {run.result().message}")
        return run

    def wait_moving(self, over=lambda: None):
        def moves():
            ended = over()
            assert not ended, ended
            return self.reports.all and self.reports.driver("ur5e_left").reference_speed > 0.01

        self.probe.wait_for(moves, lambda: f"the leader's arm moves; {self.safety.state}: {self.safety.newest().detail}")

    def wait_standing(self):
        """Waits for a report made after this moment in which every arm stands."""
        after = self.reports.newest().cycle

        def stand():
            newest = self.reports.newest()
            return newest.cycle > after and all(driver.standing for driver in newest.drivers)

        self.probe.wait_for(stand, lambda: f"every arm stands: {self.reports.newest().drivers}")

    def standing_now(self) -> bool:
        return all(self.reports.driver(robot).standing for robot in ROBOTS)

    def wait_in_force(self, *versions: str) -> str:
        """Waits until both the runtime and the safety monitor say, from now on, that one of `versions` is in force; gives it."""
        now = nanoseconds(self.probe.stamp())

        def in_force():
            status, safety = self.statuses[-1:], self.safety.all[-1:]
            return (
                status
                and safety
                and min(nanoseconds(message.header.stamp) for message in (status[0], safety[0])) > now
                and status[0].version in versions
                and safety[0].artifact == status[0].artifact
            )

        self.probe.wait_for(in_force, lambda: f"{versions} in force; now {self.statuses[-1:]}, {self.safety.all[-1:]}")
        return self.statuses[-1].version

    def _with_store(self):
        return {"cell_config": self.config, "artifact_store": str(self.store), "trust_file": str(self.workshop.trust)}
