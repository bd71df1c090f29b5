//! The recorded inputs, run again under another envelope.

use anyhow::ensure;
use swarm_base::ErrorChain;
use swarm_black_box::Record;
use swarm_safety_core::{Config, EnvelopeFile, State, step};
use swarm_safety_setup::roles;

use super::scan::Scan;
use super::walk::{unix_ns, walk};
use crate::box_files::BoxFile;
use crate::incident::recorded::{Stop, WhatIf};
use crate::verdict_json::CauseText;

/// Where other limits would have stopped the cell on its way to this stop: the recorded inputs run again from the first state
/// that was recorded behind the stop before it. Only the first stop counts: behind it the cell would have done something else.
pub(super) fn what_if(files: &[BoxFile], scan: &Scan, chosen: usize, text: &str) -> anyhow::Result<WhatIf> {
    let from = chosen.checked_sub(1).map_or(0, |before| scan.stops[before].cycle);
    let until = scan.stops[chosen].cycle;
    let roles = roles(&scan.header.sources.cell()?);
    let mut run: Option<(State, bool)> = None;
    let mut config: Option<Config> = None;
    let mut found: Option<WhatIf> = None;
    let mut gap = false;
    walk(files, |context, record| {
        match record {
            _ if found.is_some() => {}
            Record::Snapshot(state) if run.is_none() && (from..until).contains(&state.cycle()) => {
                run = Some((*state, state.state().is_stop()));
            }
            Record::Lost(_) if run.is_some() => gap = true,
            Record::Cycle(cycle) => {
                let Some((state, stopped)) = &mut run else { return Ok(()) };
                let number = cycle.verdict.cycle;
                if number > until || gap {
                    return Ok(());
                }
                if state.cycle() + 1 != number {
                    gap = true;
                    return Ok(());
                }
                // The numbers of the recorded limits are kept, so that epochs are those that the commands were meant for.
                let generation = context.config.generation();
                if config.as_ref().is_none_or(|config| config.generation() != generation) {
                    let made = EnvelopeFile::parse(text)
                        .and_then(|file| context.ceiling.with_envelope(Some(&file), &roles, generation));
                    match made {
                        Ok(made) => config = Some(made),
                        Err(error) => {
                            found = Some(WhatIf::Refused(ErrorChain(&error).to_string()));
                            return Ok(());
                        }
                    }
                }
                let Some(config) = &config else { return Ok(()) };
                let before = state.state();
                let (next, verdict) = step(config, state, &cycle.inputs, cycle.now);
                *state = next;
                if verdict.state.is_stop() && !*stopped {
                    found = Some(WhatIf::Stop(Stop {
                        at_ns: unix_ns(&context.header, cycle.now),
                        cycle: verdict.cycle,
                        state: verdict.state,
                        before: Some(before),
                        cause: verdict.cause.map(|cause| CauseText::of(config, &cause)),
                    }));
                }
                *stopped = verdict.state.is_stop();
            }
            _ => {}
        }
        Ok(())
    })?;
    if let Some(found) = found {
        return Ok(found);
    }
    ensure!(
        !gap,
        "cycles between {from} and the stop in cycle {until} were lost: its inputs cannot be run again under another envelope"
    );
    ensure!(
        run.is_some(),
        "no state was recorded between cycle {from} and the stop in cycle {until}: its inputs cannot be run again"
    );
    Ok(WhatIf::NoStop)
}
