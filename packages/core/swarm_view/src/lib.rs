//! What a person who watches a cell sees: roles, barriers, leases, safety against limits. Plain values that serialise.
//!
//! The skill runtime fills a [`CellView`] several times a second and sends it as JSON; `cell watch`, Foxglove and scripts read it.
//! It is for eyes: nothing decides by it, and a value that is not known is absent, never zero.
//!
//! - Vocabulary: *activity* as in `swarm_msgs/RoleState`; *leaf*: a node of a role's tree that runs now; *barrier*: the phase whose
//!   barrier a role stands at; *against*: a measured value beside the limit that is in force.
//! - Compatibility: fields are only added. A reader passes over what it does not know, and takes defaults for what it misses.

use serde::{Deserialize, Serialize};

/// Topic on which views are sent.
pub const TOPIC: &str = "/cell/view";

/// Name of the topic's schema.
pub const SCHEMA: &str = "swarm.CellView";

/// The whole cell at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CellView {
    /// Time of day, ns since 1970.
    pub unix_ns: u64,
    /// Counts the views since the runtime was started.
    pub sequence: u64,
    /// What is deployed, as `assembly@1.0.0`; empty if nothing is.
    pub skill: String,
    /// Trace id of the run in progress, or of the last one.
    pub run: String,
    pub running: bool,
    pub roles: Vec<RoleView>,
    pub leases: Vec<LeaseView>,
    pub safety: SafetyView,
}

/// One role of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleView {
    pub role: String,
    pub robot: String,
    /// The phase entered last; empty before the first.
    pub phase: String,
    /// 0..1 of the role's phases.
    pub progress: f64,
    pub activity: Activity,
    /// Why, when holding or ended.
    pub message: String,
    /// Paths of the leaves that run now; several under a Parallel.
    pub leaves: Vec<String>,
    pub barrier: Option<Barrier>,
}

/// How a role is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    #[default]
    Idle,
    Joining,
    Running,
    Holding,
    Succeeded,
    Aborted,
    Canceled,
}

impl Activity {
    pub fn as_str(self) -> &'static str {
        match self {
            Activity::Idle => "idle",
            Activity::Joining => "joining",
            Activity::Running => "running",
            Activity::Holding => "holding",
            Activity::Succeeded => "succeeded",
            Activity::Aborted => "aborted",
            Activity::Canceled => "canceled",
        }
    }
}

/// Where a role waits for the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Barrier {
    /// The phase behind it, or the name of a barrier that is none of a phase's.
    pub phase: String,
    /// Roles that do not stand at it yet.
    pub waits_for: Vec<String>,
}

/// Who may use what only one role at a time may. Resources that nobody asks for are not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseView {
    pub resource: String,
    /// Empty if nobody holds it.
    pub holder: String,
    /// The holder's fencing token is this number in this `epoch`: of two tokens the one of the later epoch is the newer, within an
    /// epoch the greater number. Both are 0 while nobody holds it.
    pub token: u64,
    pub epoch: u64,
    /// Roles that have asked for it, the next one first.
    pub waiting: Vec<String>,
}

impl LeaseView {
    /// The fencing token as one word, `epoch.number`; empty while nobody holds it.
    pub fn token_text(&self) -> String {
        if self.holder.is_empty() { String::new() } else { format!("{}.{}", self.epoch, self.token) }
    }
}

/// What the safety monitor said last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SafetyView {
    /// DENY, READY, RUN, SLOW, STOP2, STOP1, ESTOP; empty if it has never been heard.
    pub state: String,
    /// Identifier of the cause; empty while nothing is wrong.
    pub cause: String,
    /// The cause as a sentence.
    pub detail: String,
    pub epoch: u64,
    /// s since it was heard.
    pub age_s: Option<f64>,
    pub robots: Vec<RobotView>,
}

/// One robot against its limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RobotView {
    pub robot: String,
    /// 0..1, what the permit grants.
    pub speed_scale: f64,
    /// m/s, of the tool centre point.
    pub tcp_speed: Against,
    /// N, of the environment on the wrist.
    pub contact_force: Against,
    /// m to the nearest other robot; here the limit is a least value.
    pub separation: Against,
    /// Largest joint speed over its limit, 1 = at the limit.
    pub joint_velocity_ratio: Option<f64>,
}

/// A measured value and its limit. Either is absent where it is not monitored: JSON has no infinity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Against {
    pub value: Option<f64>,
    pub limit: Option<f64>,
}

impl Against {
    /// Values that are not finite are absent.
    pub fn new(value: f64, limit: f64) -> Self {
        let finite = |number: f64| number.is_finite().then_some(number);
        Self { value: finite(value), limit: finite(limit) }
    }

    /// value / limit; `None` where either is absent or the limit is no positive number.
    pub fn ratio(self) -> Option<f64> {
        let limit = self.limit.filter(|limit| *limit > 0.0)?;
        Some(self.value? / limit)
    }
}

impl RoleView {
    /// Still part of the run: neither ended nor idle.
    pub fn is_engaged(&self) -> bool {
        matches!(self.activity, Activity::Joining | Activity::Running | Activity::Holding)
    }
}

/// A barrier that a role stands at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub name: String,
    /// Roles that meet there; empty for all.
    pub roles: Vec<String>,
}

/// Says of each role that stands at a barrier for whom it waits. `at[i]` is the barrier that role `i` stands at.
pub fn fill_barriers(roles: &mut [RoleView], at: &[Option<&Place>]) {
    for (index, place) in at.iter().enumerate() {
        let Some(Place { name, roles: meeting }) = place else { continue };
        let absent = roles.iter().zip(at).enumerate().filter(|(other, (role, stands_at))| {
            let is_meant = meeting.is_empty() || meeting.contains(&role.role);
            let is_there = stands_at.is_some_and(|place| place.name == *name) || role.phase == *name;
            *other != index && is_meant && !is_there
        });
        let waits_for = absent.map(|(_, (role, _))| role.role.clone()).collect();
        if let Some(role) = roles.get_mut(index) {
            role.barrier = Some(Barrier { phase: name.clone(), waits_for });
        }
    }
}

/// The schema of [`CellView`] for viewers that want one (JSON Schema): the fields that are plotted and shown.
pub fn json_schema() -> &'static str {
    include_str!("cell_view.schema.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, phase: &str) -> RoleView {
        RoleView { role: name.into(), phase: phase.into(), ..RoleView::default() }
    }

    #[test]
    fn a_barrier_names_the_roles_that_are_neither_at_it_nor_behind_it() {
        let mut roles = [role("leader", "fetch"), role("follower", "fetch"), role("spotter", "mate")];
        let mate = Place { name: "mate".into(), ..Place::default() };
        fill_barriers(&mut roles, &[Some(&mate), None, None]);
        let barrier = roles[0].barrier.clone().unwrap();
        assert_eq!((barrier.phase.as_str(), barrier.waits_for), ("mate", vec!["follower".to_owned()]));
        assert_eq!(roles[1].barrier, None);
        fill_barriers(&mut roles, &[Some(&mate), Some(&mate), None]);
        assert_eq!(roles[0].barrier.clone().unwrap().waits_for, [""; 0]);
    }

    #[test]
    fn a_barrier_of_some_roles_waits_for_none_of_the_others() {
        let mut roles = [role("leader", "fetch"), role("follower", "fetch"), role("spotter", "fetch")];
        let scan = Place { name: "scanned".into(), roles: vec!["leader".into(), "spotter".into()] };
        fill_barriers(&mut roles, &[Some(&scan), None, None]);
        assert_eq!(roles[0].barrier.clone().unwrap().waits_for, ["spotter"]);
    }

    #[test]
    fn a_token_is_shown_while_somebody_holds_it() {
        let mut lease = LeaseView { token: 7, epoch: 3, holder: "follower".into(), ..LeaseView::default() };
        assert_eq!(lease.token_text(), "3.7");
        lease.holder.clear();
        assert_eq!(lease.token_text(), "");
    }

    #[test]
    fn what_is_not_monitored_is_absent_and_survives_json() {
        let robot = RobotView {
            tcp_speed: Against::new(0.2, 0.25),
            separation: Against::new(f64::INFINITY, 0.1),
            ..RobotView::default()
        };
        assert_eq!(robot.tcp_speed.ratio(), Some(0.8));
        assert_eq!((robot.separation.value, robot.separation.ratio()), (None, None));
        assert_eq!(Against::new(0.1, 0.0).ratio(), None);
        let view = CellView {
            safety: SafetyView { robots: vec![robot], ..SafetyView::default() },
            ..CellView::default()
        };
        let text = serde_json::to_string(&view).unwrap();
        assert_eq!(serde_json::from_str::<CellView>(&text).unwrap(), view);
    }

    #[test]
    fn a_reader_takes_defaults_for_what_it_misses_and_passes_over_what_it_does_not_know() {
        let view: CellView = serde_json::from_str(r#"{"run":"r1","mood":"good"}"#).unwrap();
        assert_eq!(view, CellView { run: "r1".into(), ..CellView::default() });
    }

    #[test]
    fn the_schema_names_every_field() {
        let schema: serde_json::Value = serde_json::from_str(json_schema()).unwrap();
        let robots = vec![RobotView::default()];
        let view = CellView {
            roles: vec![RoleView { barrier: Some(Barrier::default()), ..RoleView::default() }],
            leases: vec![LeaseView::default()],
            safety: SafetyView { robots, ..SafetyView::default() },
            ..CellView::default()
        };
        same_names("", &serde_json::to_value(view).unwrap(), &schema);
    }

    fn same_names(at: &str, value: &serde_json::Value, schema: &serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                let known = schema["properties"].as_object().unwrap_or_else(|| panic!("{at} is no object"));
                assert_eq!(known.keys().collect::<Vec<_>>(), fields.keys().collect::<Vec<_>>(), "{at}");
                for (name, field) in fields {
                    same_names(&format!("{at}/{name}"), field, &known[name]);
                }
            }
            serde_json::Value::Array(items) => {
                for item in items {
                    same_names(&format!("{at}[]"), item, &schema["items"]);
                }
            }
            _ => {}
        }
    }
}
