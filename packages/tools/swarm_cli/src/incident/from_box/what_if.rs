//! The recorded inputs, run again under another envelope.

use anyhow::{bail, ensure};
use swarm_base::ErrorChain;
use swarm_black_box::{Cycle, Record};
use swarm_safety_core::{Config, EnvelopeFile, State, step};
use swarm_safety_setup::roles;

use super::scan::Scan;
use crate::box_files::BoxFile;
use crate::box_walk::{Context, unix_ns, walk};
use crate::incident::recorded::{Stop, WhatIf};
use crate::verdict_json::CauseText;

/// Where other limits would have stopped the cell on its way to the chosen stop: the recorded inputs run again from the first
/// state that was recorded behind the stop before it, and anew from the first one behind each gap of the recording. Only the
/// first stop counts: behind it the cell would have done something else.
pub(super) fn what_if(files: &[BoxFile], scan: &Scan, chosen: usize, text: &str) -> anyhow::Result<WhatIf> {
    if let Some(first) = scan.stops[..=chosen].iter().rposition(|stop| !stop.is_escalation())
        && first < chosen
    {
        bail!(
            "the cell stood still already when stop {} came: other limits could not have stopped it on its way there; ask for stop {} (--stop {})",
            chosen + 1,
            first + 1,
            first + 1
        );
    }
    let from = chosen.checked_sub(1).map_or(0, |before| scan.stops[before].cycle);
    let until = scan.stops[chosen].cycle;
    let roles = roles(&scan.header.sources.cell()?);
    let mut again = Again { text, roles, config: None, state: None, found: None };
    walk(files, |context, record| {
        match record {
            _ if again.found.is_some() => {}
            Record::Snapshot(state) if again.state.is_none() && (from..until).contains(&state.cycle()) => {
                again.state = Some(*state);
            }
            Record::Lost(_) => again.state = None,
            Record::Cycle(cycle) if cycle.verdict.cycle <= until => again.run(context, cycle),
            _ => {}
        }
        Ok(())
    })?;
    if let Some(found) = again.found {
        return Ok(found);
    }
    // Whatever came last before the stop has been run, if a state was there to begin from.
    ensure!(
        again.state.is_some_and(|state| state.cycle() == until),
        "no state was recorded behind the last cycles that were lost before the stop in cycle {until}: its inputs cannot be run again under another envelope"
    );
    Ok(WhatIf::NoStop)
}

/// A run under way.
struct Again<'a> {
    text: &'a str,
    roles: Vec<Option<&'static str>>,
    config: Option<Config>,
    /// `None` until there is one to go on from.
    state: Option<State>,
    found: Option<WhatIf>,
}

impl Again<'_> {
    fn run(&mut self, context: &Context, cycle: &Cycle) {
        // A state that another cycle follows than the recorded one is of before a gap.
        let follows = |state: &State| state.cycle() + 1 == cycle.verdict.cycle;
        let Some(state) = self.state.take().filter(follows) else { return };
        // The numbers of the recorded limits are kept, so that epochs are those that the commands were meant for.
        let generation = context.config.generation();
        if self.config.as_ref().is_none_or(|config| config.generation() != generation) {
            let made = EnvelopeFile::parse(self.text)
                .and_then(|file| context.ceiling.with_envelope(Some(&file), &self.roles, generation));
            match made {
                Ok(made) => self.config = Some(made),
                Err(error) => {
                    self.found = Some(WhatIf::Refused(ErrorChain(&error).to_string()));
                    return;
                }
            }
        }
        let Some(config) = &self.config else { return };
        let (next, verdict) = step(config, &state, &cycle.inputs, cycle.now);
        self.state = Some(next);
        if verdict.state.is_stop() && !state.state().is_stop() {
            self.found = Some(WhatIf::Stop(Stop {
                at_ns: unix_ns(&context.header, cycle.now),
                cycle: verdict.cycle,
                state: verdict.state,
                before: Some(state.state()),
                cause: verdict.cause.map(|cause| CauseText::of(config, &cause)),
            }));
        }
    }
}
