//! The plan: from what a cell has to what it is to run.

use std::collections::BTreeSet;
use std::fmt;

use semver::Version;
use swarm_api::cell::Motion;
use swarm_artifact::ArtifactId;

use crate::cache::{NoRoom, evictions};
use crate::offline::{OfflinePolicy, Then};
use crate::values::{Belief, Have, Now, Runtime, Trouble, Want, Wanted};
use crate::window::Windows;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Fetch the metadata of both repositories, and believe it or not.
    Refresh,
    Evict(ArtifactId),
    /// Whole, or what is missing of it; it is in the cache only once all of it has been checked.
    Download(Wanted),
    /// Check the file in the cache again: digests that the metadata says, and signatures by the cell's own trust file.
    Verify(Wanted),
    /// Hand it to the runtime and wait for its answer.
    Deploy {
        wanted: Wanted,
        allow_older: bool,
    },
    /// The runtime's own rollback, to an artifact that is in its store.
    RollBackTo {
        artifact: ArtifactId,
        version: Version,
    },
    /// The runtime is to begin no run.
    RefuseRuns,
    AllowRuns,
}

/// What a plan stops at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The cell runs what it is to run.
    InStep,
    NothingAssigned,
    /// No metadata is believed.
    NothingKnown,
    /// The time without registry is over; nothing is deployed.
    Expired,
    RuntimeSilent,
    Moving,
    /// Until the maintenance window opens.
    Window {
        opens_in_s: u32,
    },
    /// It could not be downloaded; again later.
    NotDownloaded {
        why: String,
    },
    /// The runtime did not take it now; again later.
    NotDeployed {
        why: String,
    },
    NoRoom(NoRoom),
    /// Somebody on the cell left this assignment.
    Left,
    /// This cell will not take it.
    Refused {
        why: String,
    },
    Disagreed {
        why: String,
    },
}

/// Steps in their order, and what comes after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub rest: Rest,
    /// What is wanted is something older, or takes the place of something withdrawn.
    pub way_back: bool,
}

/// Works the plan out. Nothing in it is done in motion but what leaves the runtime alone.
pub fn plan(have: &Have<'_>, want: &Want, windows: &Windows, offline: &OfflinePolicy, now: Now) -> Plan {
    let mut steps = Vec::new();
    let refresh = have.registry.refresh.is_due(now.monotonic);
    // A registry that is away may hold the bridge up; what can be done without it comes first then.
    let away = matches!(have.registry.trouble, Some(Trouble::Away(_)));
    if refresh && !away {
        steps.push(Step::Refresh);
    }
    let expired = offline.is_over(have.memory.last_believed_unix_s, have.registry.expires_unix_s, now);
    if expired {
        // What was withdrawn before stays so, also on a runtime that was started again since.
        if offline.then == Then::RefuseNewRuns || have.withdrawn() {
            refuse_runs(have, &mut steps);
        }
        steps.extend((refresh && away).then_some(Step::Refresh));
        return Plan { steps, rest: Rest::Expired, way_back: false };
    }
    let way_back = matches!(want, Want::Artifact(wanted) if is_way_back(have, wanted));
    let rest = match want {
        Want::Unknown => Rest::NothingKnown,
        Want::Nothing => Rest::NothingAssigned,
        Want::Disagreed { why, .. } => Rest::Disagreed { why: why.clone() },
        Want::Artifact(wanted) => towards(have, wanted, windows, way_back, now, &mut steps),
    };
    // Verifying belongs to the deployment: it is used at once.
    let exchange = steps
        .iter()
        .position(|step| matches!(step, Step::Verify(_) | Step::Deploy { .. } | Step::RollBackTo { .. }));
    let under_way = exchange.is_some() || steps.iter().any(|step| matches!(step, Step::Download(_)));
    if have.withdrawn() && !under_way && rest != Rest::InStep {
        leave_withdrawn(have, now, &mut steps);
    } else if have.memory.runs_refused
        && *have.runtime != Runtime::Silent
        && (exchange.is_some() || !have.withdrawn())
    {
        // A runtime that was told to begin no run takes no skill either.
        steps.insert(exchange.unwrap_or(steps.len()), Step::AllowRuns);
    }
    steps.extend((refresh && away).then_some(Step::Refresh));
    Plan { steps, rest, way_back }
}

/// Steps that bring `wanted` into force, as far as they may be taken now.
fn towards(
    have: &Have<'_>,
    wanted: &Wanted,
    windows: &Windows,
    way_back: bool,
    now: Now,
    steps: &mut Vec<Step>,
) -> Rest {
    let protected = protected(have, wanted);
    if have.runtime.deployed().is_some_and(|running| running.artifact == wanted.artifact) {
        tidy(have, &protected, steps);
        return Rest::InStep;
    }
    if have.memory.left() == Some(wanted.artifact) {
        tidy(have, &protected, steps);
        return Rest::Left;
    }
    if let Some(why) = have.memory.refusal(wanted.artifact) {
        tidy(have, &protected, steps);
        return Rest::Refused { why: why.to_owned() };
    }
    let (download, deploy) = (have.download, have.deploy);
    let stored = have.is_in_store(wanted);
    let cached = have.cache.iter().any(|entry| entry.artifact == wanted.artifact);
    let mut here = cached;
    // What the runtime has failed to go back to is handed to it anew, once it is here.
    if !cached && (!stored || deploy.0.failures() > 0) {
        match evictions(have.cache, &protected, have.cache_limit_bytes, wanted.bytes) {
            Err(_) if *have.runtime == Runtime::Silent => return Rest::RuntimeSilent,
            Err(no_room) if !stored => return Rest::NoRoom(no_room),
            Ok(_) if !stored && !download.0.is_due(now.monotonic) => {
                return Rest::NotDownloaded { why: download.1.to_owned() };
            }
            Ok(evicted) if download.0.is_due(now.monotonic) => {
                steps.extend(evicted.into_iter().map(Step::Evict));
                steps.push(Step::Download(wanted.clone()));
                here = true;
            }
            _ => {}
        }
    } else {
        tidy(have, &protected, steps);
    }
    if *have.runtime == Runtime::Silent {
        return Rest::RuntimeSilent;
    }
    let opens_in_s = windows.opens_in_s(now.unix_s);
    if opens_in_s > 0 && !way_back {
        return Rest::Window { opens_in_s };
    }
    if have.motion != Motion::AtRest {
        return Rest::Moving;
    }
    if !deploy.0.is_due(now.monotonic) {
        return Rest::NotDeployed { why: deploy.1.to_owned() };
    }
    if stored && (deploy.0.failures() == 0 || !here) {
        steps.push(Step::RollBackTo { artifact: wanted.artifact, version: wanted.version.clone() });
    } else {
        let allow_older = is_older(have, wanted);
        steps.extend([Step::Verify(wanted.clone()), Step::Deploy { wanted: wanted.clone(), allow_older }]);
    }
    Rest::InStep
}

/// Older than what this cell ran last of the skill, or other bytes under the same version: the runtime takes that only if told to.
fn is_older(have: &Have<'_>, wanted: &Wanted) -> bool {
    let ran = have.memory.history().iter().map(|ran| &ran.deployed);
    let newest = have.runtime.deployed().into_iter().chain(ran).find(|ran| ran.skill == wanted.skill);
    newest.is_some_and(|newest| wanted.version.cmp_precedence(&newest.version).is_le())
}

fn is_way_back(have: &Have<'_>, wanted: &Wanted) -> bool {
    have.withdrawn() || is_older(have, wanted)
}

/// What is current, last good or wanted. A runtime that is silent does not say what it would go back to: nothing is evicted then.
fn protected(have: &Have<'_>, wanted: &Wanted) -> BTreeSet<ArtifactId> {
    if *have.runtime == Runtime::Silent {
        return have.cache.iter().map(|entry| entry.artifact).chain([wanted.artifact]).collect();
    }
    let kept = [have.runtime.deployed(), have.last_good()];
    let newest = have.memory.history().first().map(|ran| ran.deployed.artifact);
    kept.into_iter().flatten().map(|kept| kept.artifact).chain(newest).chain([wanted.artifact]).collect()
}

/// The cache may have been larger before.
fn tidy(have: &Have<'_>, protected: &BTreeSet<ArtifactId>, steps: &mut Vec<Step>) {
    let evicted = evictions(have.cache, protected, have.cache_limit_bytes, 0).unwrap_or_default();
    steps.extend(evicted.into_iter().map(Step::Evict));
}

/// What runs is withdrawn and nothing is assigned in its place: back to what was good, if that is believed; else nothing is run.
fn leave_withdrawn(have: &Have<'_>, now: Now, steps: &mut Vec<Step>) {
    let good = have.last_good().filter(|_| have.last_good_believed == Belief::Has);
    let Some(good) = good.filter(|_| have.deploy.0.is_due(now.monotonic)) else {
        return refuse_runs(have, steps);
    };
    if have.motion == Motion::AtRest {
        if have.memory.runs_refused {
            steps.push(Step::AllowRuns);
        }
        steps.push(Step::RollBackTo { artifact: good.artifact, version: good.version.clone() });
    }
}

/// A run in progress ends as it would: telling the runtime to begin no run ends one, too. A runtime that was started again, or that
/// somebody has activated, is told anew.
fn refuse_runs(have: &Have<'_>, steps: &mut Vec<Step>) {
    let refused = have.memory.runs_refused && have.refusal_stands;
    if !refused && have.motion == Motion::AtRest && *have.runtime != Runtime::Silent {
        steps.push(Step::RefuseRuns);
    }
}

impl Plan {
    /// The first step, if there is one.
    pub fn first(&self) -> Option<&Step> {
        self.steps.first()
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.skill, self.version)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refresh => f.write_str("refresh the metadata"),
            Self::Evict(artifact) => write!(f, "evict {}", &artifact.to_string()[..8]),
            Self::Download(wanted) => write!(f, "download {wanted}"),
            Self::Verify(wanted) => write!(f, "verify {wanted}"),
            Self::Deploy { wanted, allow_older: false } => write!(f, "deploy {wanted}"),
            Self::Deploy { wanted, allow_older: true } => write!(f, "deploy {wanted}, although it is older"),
            Self::RollBackTo { version, .. } => write!(f, "have the runtime roll back to {version}"),
            Self::RefuseRuns => f.write_str("have the runtime begin no run"),
            Self::AllowRuns => f.write_str("let the runtime begin runs"),
        }
    }
}
