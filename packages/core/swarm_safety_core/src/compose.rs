//! The one rule by which a skill's envelope meets the cell's ceiling: it may tighten, never loosen.

use std::fmt;

use crate::few::Few;
use crate::limits::{Boxes, Envelope, Fixture, HumanLimits, Plane, RobotLimits, WorldBox};

/// A field of an envelope that allows more than the ceiling.
#[derive(Clone, Debug, PartialEq)]
pub struct LooserField {
    /// Path in the file, e.g. `robots.panda.tcp.speed_m_s`.
    pub field: String,
    /// What the cell allows.
    pub ceiling: String,
    /// What the envelope asks for.
    pub envelope: String,
}

/// An envelope was refused because it is looser than the cell's ceiling. Lists every such field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct LooserThanCeiling(pub Vec<LooserField>);

impl fmt::Display for LooserThanCeiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the skill's safety envelope is looser than the cell's ceiling: ")?;
        for (i, looser) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}{} is {}, the cell allows {}",
                looser.field, looser.envelope, looser.ceiling
            )?;
        }
        Ok(())
    }
}

/// Envelope in force: `envelope`, if it is nowhere looser than `ceiling`. Keep-out boxes, planes and fixtures
/// of both hold. An envelope that asks for care with people is refused where the ceiling looks for nobody: nothing would come of it.
///
/// A workspace box must lie in one box of the ceiling's workspace (not only in their union). `robots` are the names for the
/// messages, in the order of both arguments.
pub fn compose(
    ceiling: &Envelope,
    envelope: &Envelope,
    robots: &[&str],
) -> Result<Envelope, LooserThanCeiling> {
    // SR-17
    let mut looser = Looser(Vec::new());
    let (c, e) = (&ceiling.cell, &envelope.cell);
    looser.at_least("cell.separation.min_m", c.min_separation_m, e.min_separation_m);
    looser.at_least("cell.separation.slow_m", c.slow_separation_m, e.slow_separation_m);
    looser.at_least("cell.separation.self_m", c.self_separation_m, e.self_separation_m);
    looser.at_least("cell.separation.fixture_m", c.fixture_separation_m, e.fixture_separation_m);
    looser.at_most("cell.timeouts.joint_state_s", c.joint_state_timeout_s, e.joint_state_timeout_s);
    looser.at_most("cell.timeouts.wrench_s", c.wrench_timeout_s, e.wrench_timeout_s);
    looser.at_most("cell.timeouts.command_s", c.command_timeout_s, e.command_timeout_s);
    looser.at_least("cell.protective_stop.release_after_s", c.release_after_s, e.release_after_s);
    let (c, e) = (&ceiling.humans, &envelope.humans);
    // SR-11
    if !c.is_monitored() && *c != (HumanLimits { zones: c.zones, ..*e }) {
        let nobody = "nothing there: it declares no zone in which anybody would be seen".to_owned();
        looser.push("cell.humans", nobody, "asked for".to_owned());
    }
    looser.at_most("cell.humans.timeout_s", c.timeout_s, e.timeout_s);
    looser.at_least("cell.humans.speed_m_s", c.speed_m_s, e.speed_m_s);
    looser.at_least("cell.humans.intrusion_m", c.intrusion_m, e.intrusion_m);
    looser.at_least("cell.humans.sensor_uncertainty_m", c.sensor_uncertainty_m, e.sensor_uncertainty_m);
    looser.at_least("cell.humans.robot_uncertainty_m", c.robot_uncertainty_m, e.robot_uncertainty_m);
    let mut composed = *envelope;
    // Zones are the cell's: a skill knows no sensors.
    composed.humans.zones = c.zones;
    composed.fixtures = looser.joined("cell.fixtures", &ceiling.fixtures, &envelope.fixtures, Fixture::NONE);
    for (i, name) in robots.iter().enumerate().take(composed.robots.len()) {
        let at = format!("robots.{name}");
        looser.robot(&at, &ceiling.robots[i], &envelope.robots[i]);
        let (c, e, out) = (&ceiling.robots[i], &envelope.robots[i], &mut composed.robots[i]);
        out.keep_out =
            looser.joined(&format!("{at}.workspace.keep_out"), &c.keep_out, &e.keep_out, WorldBox::NONE);
        out.planes = looser.joined(&format!("{at}.workspace.planes"), &c.planes, &e.planes, Plane::NONE);
    }
    if looser.0.is_empty() { Ok(composed) } else { Err(LooserThanCeiling(looser.0)) }
}

struct Looser(Vec<LooserField>);

impl Looser {
    fn robot(&mut self, at: &str, ceiling: &RobotLimits, envelope: &RobotLimits) {
        let (c, e) = (&ceiling.joints, &envelope.joints);
        for i in 0..c.lower.len() {
            self.at_least(&format!("{at}.joints.lower_rad[{i}]"), c.lower[i], e.lower[i]);
            self.at_most(&format!("{at}.joints.upper_rad[{i}]"), c.upper[i], e.upper[i]);
            self.at_most(&format!("{at}.joints.velocity_rad_s[{i}]"), c.velocity[i], e.velocity[i]);
            self.at_most(
                &format!("{at}.joints.acceleration_rad_s2[{i}]"),
                c.acceleration[i],
                e.acceleration[i],
            );
            self.at_most(&format!("{at}.joints.effort_nm[{i}]"), c.effort[i], e.effort[i]);
        }
        self.at_most(&format!("{at}.tcp.speed_m_s"), ceiling.tcp_speed_m_s, envelope.tcp_speed_m_s);
        self.at_most(&format!("{at}.tcp.elbow_speed_m_s"), ceiling.elbow_speed_m_s, envelope.elbow_speed_m_s);
        let (c, e) = (ceiling.momentum_kg_m_s, envelope.momentum_kg_m_s);
        self.at_most(&format!("{at}.dynamics.momentum_kg_m_s"), c, e);
        self.at_most(&format!("{at}.dynamics.power_w"), ceiling.power_w, envelope.power_w);
        self.workspace(&format!("{at}.workspace.allowed"), &ceiling.workspace, &envelope.workspace);
        let (c, e) = (&ceiling.wrench, &envelope.wrench);
        self.at_most(&format!("{at}.wrench.contact_force_n"), c.contact_force_n, e.contact_force_n);
        self.at_most(&format!("{at}.wrench.contact_torque_nm"), c.contact_torque_nm, e.contact_torque_nm);
        self.at_most(&format!("{at}.wrench.collision_force_n"), c.collision_force_n, e.collision_force_n);
        self.at_most(
            &format!("{at}.wrench.collision_torque_nm"),
            c.collision_torque_nm,
            e.collision_torque_nm,
        );
        let (c, e) = (&ceiling.gripper, &envelope.gripper);
        self.at_least(&format!("{at}.gripper.min_width_m"), c.min_width_m, e.min_width_m);
        self.at_most(&format!("{at}.gripper.max_width_m"), c.max_width_m, e.max_width_m);
        self.at_most(&format!("{at}.gripper.max_force_n"), c.max_force_n, e.max_force_n);
    }

    // Written so that NaN counts as looser.
    fn at_most(&mut self, field: &str, ceiling: f64, envelope: f64) {
        let tighter = envelope <= ceiling;
        if !tighter {
            self.push(field, format!("at most {ceiling}"), envelope.to_string());
        }
    }

    fn at_least(&mut self, field: &str, ceiling: f64, envelope: f64) {
        let tighter = envelope >= ceiling;
        if !tighter {
            self.push(field, format!("at least {ceiling}"), envelope.to_string());
        }
    }

    fn workspace(&mut self, field: &str, ceiling: &Boxes, envelope: &Boxes) {
        for (i, wanted) in envelope.as_slice().iter().enumerate() {
            if !ceiling.as_slice().iter().any(|allowed| allowed.contains_box(wanted)) {
                let allowed: Vec<String> = ceiling.as_slice().iter().map(text).collect();
                self.push(&format!("{field}[{i}]"), format!("within {}", allowed.join(" or ")), text(wanted));
            }
        }
    }

    /// What both forbid; the ceiling's can't be lost, so that too many together are refused.
    fn joined<T: Copy + PartialEq, const N: usize>(
        &mut self,
        field: &str,
        ceiling: &Few<T, N>,
        envelope: &Few<T, N>,
        filler: T,
    ) -> Few<T, N> {
        let mut all = ceiling.as_slice().to_vec();
        for wanted in envelope.as_slice() {
            if !all.contains(wanted) {
                all.push(*wanted);
            }
        }
        Few::from_slice(&all, filler).unwrap_or_else(|| {
            self.push(field, format!("at most {N} with its own"), all.len().to_string());
            *ceiling
        })
    }

    fn push(&mut self, field: &str, ceiling: String, envelope: String) {
        self.0.push(LooserField { field: field.to_owned(), ceiling, envelope });
    }
}

fn text(item: &WorldBox) -> String {
    let (a, b) = (item.min, item.max);
    format!("({}, {}, {})..({}, {}, {}) m", a.x, a.y, a.z, b.x, b.y, b.z)
}
