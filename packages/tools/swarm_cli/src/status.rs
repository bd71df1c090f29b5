//! `swarm_msgs/msg/SafetyStatus` and the decision's own values, each way.

use swarm_bag::msg::RobotSafety;
use swarm_safety_core::{Inputs, Measures, RobotVerdict, SafetyState};

/// The message's number of a state.
pub(crate) fn number_of(state: SafetyState) -> u8 {
    SafetyState::ALL.iter().position(|known| *known == state).unwrap_or_default() as u8
}

/// The state of a number; `None` for one that the message does not name.
pub(crate) fn state_of(number: u8) -> Option<SafetyState> {
    SafetyState::ALL.get(usize::from(number)).copied()
}

/// A robot's part of the status.
pub(crate) fn robot_safety(name: &str, robot: &RobotVerdict) -> RobotSafety {
    let m = &robot.measures;
    RobotSafety {
        robot: name.to_owned(),
        speed_scale: robot.scale,
        tcp_speed: m.tcp_speed_m_s,
        tcp_speed_limit: m.tcp_speed_limit_m_s,
        elbow_speed: m.elbow_speed_m_s,
        elbow_speed_limit: m.elbow_speed_limit_m_s,
        momentum: m.momentum_kg_m_s,
        momentum_limit: m.momentum_limit_kg_m_s,
        power: m.power_w,
        power_limit: m.power_limit_w,
        contact_force: m.contact_force_n,
        contact_force_limit: m.contact_force_limit_n,
        separation: m.separation_m,
        separation_limit: m.separation_limit_m,
        self_separation: m.self_separation_m,
        fixture_separation: m.fixture_separation_m,
        human_separation: m.human_separation_m,
        joint_velocity_ratio: m.joint_velocity_ratio,
        input_age: m.input_age_s,
        stop_ineffective: robot.stop_ineffective,
    }
}

/// What the monitor measured, from a robot's part of the status.
pub(crate) fn measures(robot: &RobotSafety) -> Measures {
    Measures {
        tcp_speed_m_s: robot.tcp_speed,
        tcp_speed_limit_m_s: robot.tcp_speed_limit,
        elbow_speed_m_s: robot.elbow_speed,
        elbow_speed_limit_m_s: robot.elbow_speed_limit,
        momentum_kg_m_s: robot.momentum,
        momentum_limit_kg_m_s: robot.momentum_limit,
        power_w: robot.power,
        power_limit_w: robot.power_limit,
        contact_force_n: robot.contact_force,
        contact_force_limit_n: robot.contact_force_limit,
        separation_m: robot.separation,
        separation_limit_m: robot.separation_limit,
        self_separation_m: robot.self_separation,
        fixture_separation_m: robot.fixture_separation,
        human_separation_m: robot.human_separation,
        joint_velocity_ratio: robot.joint_velocity_ratio,
        input_age_s: robot.input_age,
    }
}

/// What stands for the trace id of the run whose command was heard last, of the artifact in force: a black box has the run's
/// number and not its text. Empty if none was heard.
pub(crate) fn trace_id(inputs: &Inputs) -> String {
    let commands = inputs.robots.iter().filter_map(|robot| robot.command);
    let newest = commands.filter(|command| command.artifact_matches).max_by_key(|command| command.sent);
    newest.map(|command| run_text(command.run)).unwrap_or_default()
}

/// The number of a run, as it stands where a trace id would.
pub(crate) fn run_text(run: u64) -> String {
    format!("{run:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use swarm_bag::Definitions;
    use swarm_safety_core::wire::every;

    #[test]
    fn states_have_the_numbers_of_the_message() {
        let text = Definitions::suite().describe("swarm_msgs/msg/SafetyStatus").unwrap().text;
        for state in every::<SafetyState>() {
            let line = format!("uint8 STATE_{}={}", state.name(), number_of(state));
            assert!(text.contains(&line), "{line}");
            assert_eq!(state_of(number_of(state)), Some(state));
        }
        assert_eq!(state_of(7), None);
    }

    #[test]
    fn measures_come_back_from_a_status() {
        let mut verdict = swarm_safety_core::Measures {
            tcp_speed_m_s: 1.0,
            tcp_speed_limit_m_s: 2.0,
            elbow_speed_m_s: 3.0,
            elbow_speed_limit_m_s: 4.0,
            momentum_kg_m_s: 5.0,
            momentum_limit_kg_m_s: f64::INFINITY,
            power_w: 7.0,
            power_limit_w: 8.0,
            contact_force_n: 9.0,
            contact_force_limit_n: 10.0,
            separation_m: 11.0,
            separation_limit_m: 12.0,
            self_separation_m: 13.0,
            fixture_separation_m: 14.0,
            human_separation_m: 15.0,
            joint_velocity_ratio: 16.0,
            input_age_s: 17.0,
        };
        let robot = |measures| {
            let still = RobotVerdict {
                velocity: swarm_kinematics::JointVector::zeros(),
                scale: 0.5,
                gripper: None,
                gripper_new: false,
                refusal: None,
                stop_ineffective: false,
                measures,
            };
            robot_safety("panda", &still)
        };
        assert_eq!(measures(&robot(verdict)), verdict);
        verdict.input_age_s = 18.0;
        assert_ne!(measures(&robot(verdict)).input_age_s, 17.0);
    }
}
