"""Trees that ask actions, services and topics of the cell: what arrives there, and that a halt is acknowledged or stops the cell."""

import time

import pytest
from peripherals import Peripherals, declare, leader, turn
from rclpy.action import CancelResponse
from skill_cell import ABORTED, CANCELED, SUCCEEDED


@pytest.fixture
def cell(cell):
    declare(cell.config)
    return cell


@pytest.fixture
def peripherals(domain):
    made = []

    def make(**behaviour):
        made.append(Peripherals(domain, **behaviour))
        return made[-1]

    yield make
    for one in made:
        one.close()


def begun(cell, workshop, steps) -> object:
    """A run of such a leader, in which the screwdriver has been asked."""
    cell.ready(workshop.make("1.0.0", leader(*steps)))
    return cell.execute()


def test_a_tree_asks_an_action_a_service_and_topics_and_uses_the_answers(cell, workshop, peripherals):
    others = peripherals()
    steps = [
        "<CallService peripheral=\"light\" request='json:{\"data\": true}' pick=\"/message\" value=\"{light}\"/>",
        "<ScriptCondition code=\"light == 'on'\"/>",
        turn(1.5, more='pick="/duration" value="{angle}"'),
        '<ScriptCondition code="angle &gt; 6.2"/>',
        "<PublishTopic peripheral=\"lamp\" message='json:{\"r\": 0.5}'/>",
        '<WaitTopic peripheral="torque" timeout_s="20" pick="/data" value="{torque}"/>',
        '<ScriptCondition code="torque == 3.5"/>',
    ]
    run = begun(cell, workshop, steps)
    result = run.result()
    assert (result.outcome, result.message) == (SUCCEEDED, "")
    cell.probe.wait_for(lambda: others.words("lamp"), "the lamp hears its colour")
    assert (others.words("light"), others.words("screwdriver"), others.words("lamp")) == ([True], ["goal", 1.5], [0.5])
    cell.succeeds()


def test_a_cancel_is_answered_when_the_device_stands(cell, workshop, peripherals):
    others = peripherals(turn_s=60.0, brake_s=1.0)
    run = begun(cell, workshop, [turn()])
    cell.probe.wait_for(lambda: others.turns, "the screwdriver turns")
    run.cancel()
    result = run.result()
    assert result.outcome == CANCELED, result.message
    assert not others.turns and others.words("screwdriver").count("cancel") >= 1
    # A halt that is acknowledged is no stop.
    cell.safety.wait("READY")


def test_a_goal_that_is_accepted_after_the_halt_is_cancelled_all_the_same(cell, workshop, peripherals):
    others = peripherals(turn_s=60.0, accept_after=1.0)
    run = begun(cell, workshop, [turn()])
    cell.probe.wait_for(lambda: others.words("screwdriver"), "the goal is on its way")
    run.cancel()
    result = run.result()
    assert result.outcome == CANCELED, result.message
    assert "cancel" in others.words("screwdriver") and not others.turns
    cell.safety.wait("READY")


def test_a_device_that_does_not_stop_stops_the_cell(cell, workshop, peripherals):
    others = peripherals(turn_s=60.0, cancel=CancelResponse.REJECT)
    run = begun(cell, workshop, [turn()])
    cell.probe.wait_for(lambda: others.turns, "the screwdriver turns")
    run.cancel()
    result = run.result()
    assert result.outcome == CANCELED, result.message
    cell.safety.wait("ESTOP", cause="emergency_stop")
    assert others.turns and others.words("screwdriver").count("cancel") >= 2
    assert "stops the cell by /emergency_stop" in cell.runtime.log
    others.turn_s = 0.0


def test_a_server_that_goes_away_stops_the_cell(cell, workshop, peripherals):
    others = peripherals(turn_s=60.0)
    run = begun(cell, workshop, [turn(timeout_s=60.0)])
    cell.probe.wait_for(lambda: others.turns, "the screwdriver turns")
    others.server.destroy()
    result = run.result()
    assert result.outcome == ABORTED and "the server of /screwdriver/turn is gone" in result.message, result.message
    cell.safety.wait("ESTOP", cause="emergency_stop")
    others.turn_s = 0.0


def test_nobody_to_ask_is_a_failure_and_no_stop(cell, workshop):
    run = begun(cell, workshop, [turn()])
    result = run.result()
    assert result.outcome == ABORTED
    assert result.message == "leader: CallAction: screwdriver refused: nobody serves /screwdriver/turn (looked for 1 s)"
    cell.safety.wait("READY")


def test_a_goal_that_takes_too_long_is_cancelled(cell, workshop, peripherals):
    others = peripherals(turn_s=60.0)
    run = begun(cell, workshop, [turn(timeout_s=0.5)])
    result = run.result()
    assert (result.outcome, result.message) == (
        ABORTED,
        "leader: CallAction: screwdriver has not ended within 0.5 s",
    )
    assert "cancel" in others.words("screwdriver") and not others.turns
    cell.safety.wait("READY")


def test_content_that_a_script_makes_is_checked_before_it_is_sent(cell, workshop, peripherals):
    others = peripherals()
    steps = ["""<Script code="request := 'json:[1]'"/>""", '<CallService peripheral="light" request="{request}"/>']
    result = begun(cell, workshop, steps).result()
    assert result.outcome == ABORTED and "is no JSON object" in result.message, result.message
    made = '<Script code="request := \'json:{&quot;date&quot;: true}\'"/>'
    archive = workshop.make("1.1.0", leader(made, '<CallService peripheral="light" request="{request}"/>'))
    assert cell.deploy(archive).success
    result = cell.execute().result()
    assert result.outcome == ABORTED and "there is no field date; there are data" in result.message, result.message
    assert others.heard == []


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ('<CallAction peripheral="drill" goal=""/>', "the cell has no peripheral 'drill'"),
        ('<CallAction peripheral="light" goal=""/>', "peripheral 'light' is a service, but CallAction asks an action"),
        ('<WaitTopic peripheral="{name}"/>', "port 'peripheral' has to name a peripheral"),
        (
            "<CallService peripheral=\"light\" request='json:{\"data\": 1}'/>",
            '{"data":1} cannot be sent to \'light\': data is 1, expected true or false',
        ),
    ],
)
def test_what_a_tree_may_not_ask_is_refused_at_deployment(cell, workshop, step, why):
    cell.ready(workshop.make("1.0.0"))
    answer = cell.deploy(workshop.make("1.1.0", leader(step)))
    assert not answer.success and why in answer.message, answer.message
    cell.succeeds()


def test_time_to_stop_can_be_set_in_the_tree(cell, workshop, peripherals):
    others = peripherals(turn_s=60.0, brake_s=3.0)
    run = begun(cell, workshop, [turn(more='_halt_timeout_ms="20000"')])
    cell.probe.wait_for(lambda: others.turns, "the screwdriver turns")
    asked = time.monotonic()
    run.cancel()
    assert run.result().outcome == CANCELED
    assert others.stands_since > asked and not others.turns
    cell.safety.wait("READY")
