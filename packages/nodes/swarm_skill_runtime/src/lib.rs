//! The skill runtime: deploys signed skills, keeps one in force, and runs it with all its roles in one process.
//!
//! Vocabulary: see `swarm_skill_core`. Here besides: an *order* is what an operator asks of a deployment ([`deployer`]); a *goal* is
//! an ExecuteSkill goal; a *turn* is one pass of the control loop ([`engine`]).
//!
//! | module | does | knows ROS |
//! |---|---|---|
//! | [`robots`] | the cell's robots and ceiling from its declaration | no |
//! | [`deployer`] | carries out a deployment step by step | no |
//! | [`beside`] | compares a version that waits with the run in progress | no |
//! | [`world`] | the latest measurements | no |
//! | [`sightings`] | the latest sightings of parts, by the time of their images | no |
//! | [`engine`] | goals, run, commands | no |
//! | [`counted`] | policies whose inferences are counted | no |
//! | [`recordings`] | a recording of every role of every run | no |
//! | [`rehearsal`] | previews of the skill in force | no |
//! | [`live`] | what is shown of all this while it runs | no |
//! | [`messages`] | conversions | yes |
//! | [`role_link`] | reports of roles on different hosts | yes |
//! | [`peripherals`] | what trees ask of the cell's other programs | yes |
//! | [`action`] | the action server | yes |
//! | [`node`] | topics, services, threads | yes |
//!
//! One process plays all roles of its cell: its runs use the link within a process. [`role_link`] is the link for executors on different
//! computers; `check_role_link` and the tests use it, and the node does not.
//!
//! Deliberately absent: the decisions themselves, which are `swarm_skill_core`'s; motion that is not a wish to the safety gate.

pub mod action;
pub mod beside;
pub mod counted;
pub mod deployer;
pub mod engine;
pub mod live;
pub mod messages;
pub mod node;
pub mod peripherals;
pub mod recordings;
pub mod rehearsal;
pub mod robots;
pub mod role_link;
pub mod sightings;
pub mod world;
