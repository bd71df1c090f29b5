//! Static checker of behaviour trees: what can go wrong in them, alone and with the other roles, found before a robot moves.
//!
//! Values in, values out: loaded [`Tree`](swarm_bt::Tree)s, what is known of their leaves ([`LeafTable`]), and limits; a [`Report`]
//! comes back. `cell bt check` prints it, and deploying a skill refuses on its errors.
//!
//! # Vocabulary
//!
//! - *finding*: one thing that is wrong, with its place, what to do, and where it applies an *example*: a run that shows it, as answers
//!   of the leaves that `cell bt run` plays.
//! - *error*, *warning*: an error keeps a skill from being deployed.
//! - *state*: where one tree is; *world*: where all roles are, and what they share; *wait*: a leaf that runs until other roles come.
//! - *in vain*: of a wait that nothing ends but its own time-out or the end of the run.
//!
//! # Flow
//!
//! 1. [`check_tree`] walks each tree once ([`flow`]): which answers are possible, which entries are certain to be written.
//! 2. [`explore`] ticks clones of every state with every answer of every leaf: the graph of one tree. Ticks are the engine's own.
//! 3. The graphs of all roles side by side, joined by what cooperative leaves do; then the waits in vain are those from which no way
//!    leads to where they have ended.
//!
//! # Findings
//!
//! | code | severity | found by | what |
//! |---|---|---|---|
//! | BT001 | error | loader | the tree does not load |
//! | BT101 | error | walk | an entry is read that on some way has not been written |
//! | BT102 | error | walk | an entry is read that nothing writes |
//! | BT201 | warning | walk, exploration | a node is never ticked |
//! | BT202 | error | exploration | a tick fails; a warning where the value that makes it fail is a guess |
//! | BT301 | error | exploration | the tree runs for ever, whatever its leaves answer |
//! | BT302 | error | exploration | nothing runs and nothing changes, but the tree has not ended |
//! | BT401 | error | walk | children of a reactive node halt one another; a warning where it is not known that they take time |
//! | BT501 | error | walk | the roles' phases differ |
//! | BT502 | error | all roles | a role comes to a phase that is not the next one |
//! | BT503 | error | all roles | roles wait in vain: barriers that a way leads around, resources taken in opposite orders, a hold that nobody releases |
//! | BT504 | error | all roles | the run can neither succeed nor be given up |
//! | BT601 | warning | exploration, all roles | the exploration was cut short: not all states were looked at |
//!
//! # The model of the world
//!
//! - An action answers RUNNING, SUCCESS or FAILURE whenever it is ticked, a condition SUCCESS or FAILURE; [`LeafTable`] says which do less.
//!   No leaf answers SKIPPED: that is what `_skipIf` is for. A leaf that runs completes some time.
//! - A leaf that succeeds writes to each output one of a few values: those that scripts compare the entry with, and their neighbours. What
//!   follows from other values is not found.
//! - Time passes between two ticks so that no timer runs off, or the next one does. A leaf is known to have stopped when it was told to.
//! - Roles are ticked in any order. Messages take any time, but none is lost and no role is: that is what the protocols are tested for.
//! - A tree of more than 60 leaves is explored with actions that answer RUNNING first; the ways that one tick can go are too many else.
//!
//! The exploration is exhaustive up to its [`Limits`]; a report says of each part whether it was exhausted, and with how many states.
//! Where it was not, what has not been seen is taken to be good: nothing is found that is not there, but something may be missed, and
//! BT601 says so. Memory is among the limits: neither a large tree nor scripts that make long texts use up that of a robot.
//!
//! Deliberately absent: files, the command line, the leaves of any robot, protocols between roles.
//!
//! ```
//! use swarm_bt::{LeafModel, Loader, PortType, Registry};
//! use swarm_bt_check::{Given, LeafTable, Limits, RoleTree, Together, check};
//!
//! let lock = |id| LeafModel::action(id).input("resource", PortType::Str);
//! let registry = Registry::new().leaf(LeafModel::action("Move")).leaf(lock("Lock")).leaf(lock("Unlock"));
//! let table = LeafTable::new()
//!     .together("Lock", Together::Acquire { resource: "resource" })
//!     .together("Unlock", Together::GiveBack { resource: "resource" });
//! let takes = |first: &str, second: &str| {
//!     format!(
//!         r#"<root BTCPP_format="4"><BehaviorTree ID="T"><Sequence>
//!              <Lock resource="{first}"/> <Move/> <Lock resource="{second}"/> <Move/>
//!              <Unlock resource="{first}"/> <Unlock resource="{second}"/>
//!            </Sequence></BehaviorTree></root>"#
//!     )
//! };
//! let texts = [takes("bench", "screwdriver"), takes("screwdriver", "bench")];
//! let load = |text| Loader::new(&registry).document("role.xml", text).load();
//! let (leader, follower) = (load(&texts[0])?, load(&texts[1])?);
//! let roles = [RoleTree { role: "leader", tree: &leader }, RoleTree { role: "follower", tree: &follower }];
//!
//! let report = check(&roles, &table, &Given::new(), Limits::default());
//! let finding = &report.findings[0];
//! assert_eq!(finding.code.as_str(), "BT503");
//! assert!(finding.problem.contains("leader waits for resource 'screwdriver', which follower holds"));
//! assert!(report.explored.iter().all(|explored| explored.exhausted));
//! # Ok::<(), swarm_bt::LoadErrors>(())
//! ```

mod answers;
mod check;
mod explore;
mod finding;
mod flow;
mod leaves;
mod linear;
mod slots;

pub use answers::Answers;
pub use check::{Given, Report, RoleTree, check, check_tree};
pub use explore::{Explored, Limits};
pub use finding::{Code, Example, Finding, LeafScript, RoleScript, Severity};
pub use leaves::{LeafFacts, LeafTable, Meeting, Pace, Together};
