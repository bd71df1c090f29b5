//! An incident from files of the black box: everything is known, and everything can be run again.

mod scan;
mod what_if;
mod window;

use anyhow::{Context as _, ensure};
use swarm_black_box::{End, Record, Signed};

use self::scan::Scan;
use self::what_if::what_if;
use self::window::Window;
use super::Question;
use super::provenance::limit_source;
use super::recorded::{InForce, Proof, ProofVerdict, Recorded, Source, SourceKind, Start, Stop};
use crate::box_files::BoxFile;
use crate::box_verify::{judge_all, key_id};
use crate::box_walk::{starts, walk};
use crate::verdict_json::CauseText;

/// Reads the incident that `question` asks for.
pub(crate) fn read(files: Vec<BoxFile>, question: &Question<'_>) -> anyhow::Result<Recorded> {
    let series = starts(files)?;
    let scanned: Vec<Scan> = series.iter().map(|files| Scan::of(files)).collect::<anyhow::Result<_>>()?;
    let listed: Vec<Start> = scanned
        .iter()
        .zip(&series)
        .enumerate()
        .map(|(index, (scan, files))| scan.listed(index + 1, files.len()))
        .collect();
    let number = choose(question.start, &listed)?;
    let (files, scan) = (&series[number - 1], &scanned[number - 1]);
    ensure!(!scan.stops.is_empty(), no_stop(&listed, number, scan.cut_bytes));
    let chosen =
        question.stop.checked_sub(1).filter(|index| *index < scan.stops.len()).with_context(|| {
            format!(
                "stop {} of start {number} was asked for, which has {} (--stop 1 to {})",
                question.stop,
                scan.stops.len(),
                scan.stops.len()
            )
        })?;
    let stop = scan.stops[chosen];
    let mut window = Window::around(&scan.header, stop);
    walk(files, |context, record| {
        if let Record::Cycle(cycle) = record {
            window.take(context, cycle);
        }
        Ok(())
    })?;
    let at = window.at_stop.context("the cycle of the stop cannot be found again")?;
    let mut stops: Vec<Stop> = scan.stops.iter().map(|stop| stop.plain(&scan.header)).collect();
    let mut next = 0;
    walk(files, |context, record| {
        if let Record::Cycle(cycle) = record
            && scan.stops.get(next).is_some_and(|stop| stop.cycle == cycle.verdict.cycle)
        {
            stops[next].cause = cycle.verdict.cause.map(|cause| CauseText::of(&context.config, &cause));
            next += 1;
        }
        Ok(())
    })?;
    let cause = stops[chosen].cause.clone();
    let what_if = question.what_if.map(|text| what_if(files, scan, chosen, text)).transpose()?;
    Ok(Recorded {
        source: Source {
            kind: SourceKind::BlackBox,
            files: files.iter().map(|file| file.path.display().to_string()).collect(),
        },
        cell: Some(scan.header.sources.cell()?.cell),
        software: Some(scan.header.software.clone()),
        proof: proof(files, question),
        starts: listed,
        start: Some(number),
        stops,
        chosen,
        limit_source: cause
            .and_then(|cause| limit_source(&scan.header, &at.limits, &cause.code, &cause.robot)),
        in_force: InForce {
            skill: at.limits.skill.clone(),
            artifact: at.limits.artifact.clone(),
            generation: Some(at.limits.generation),
            since_s: at.limits_since_ns.map(|since| (window.stop_ns - since) as f64 * 1e-9),
            epoch: at.epoch,
            trace_id: at.trace_id,
        },
        robots: at.robots,
        points: window.points,
        tracks: window.tracks,
        lost_cycles: Some(scan.lost),
        what_if,
    })
}

/// The start that was asked for; else the newest with a stop, else the newest.
fn choose(wanted: Option<usize>, listed: &[Start]) -> anyhow::Result<usize> {
    let Some(wanted) = wanted else {
        let with_stop = listed.iter().rfind(|start| !start.stops.is_empty()).or(listed.last());
        return with_stop.map(|start| start.number).context("the files hold no start of the monitor");
    };
    let known = listed.iter().any(|start| start.number == wanted);
    ensure!(known, "start {wanted} was asked for, the files hold {}: {}", listed.len(), in_words(listed));
    Ok(wanted)
}

fn in_words(listed: &[Start]) -> String {
    let words = listed.iter().map(|start| {
        format!("start {} at {} with {} stops", start.number, start.started_utc, start.stops.len())
    });
    words.collect::<Vec<_>>().join("; ")
}

fn no_stop(listed: &[Start], number: usize, cut_bytes: usize) -> String {
    let cycles = listed[number - 1].cycles;
    let cut = match cut_bytes {
        0 => String::new(),
        bytes => format!(", whose last file is cut off: {bytes} bytes behind its last whole record"),
    };
    let others = if listed.len() > 1 { format!(" ({})", in_words(listed)) } else { String::new() };
    format!(
        "there is no stop in the {cycles} cycles of start {number}{cut}{others}; give the files of the time in question, or make a bag of these with `cell blackbox export`"
    )
}

/// Whether the files of the start are what was recorded.
fn proof(files: &[BoxFile], question: &Question<'_>) -> Proof {
    let trusted = (!question.keys.is_empty()).then_some(question.keys);
    // The monitor may still be at work, or was killed: then the newest file has no sealed end.
    let judged = judge_all(files, trusted, |index| index + 1 == files.len());
    let found = || judged.iter().filter_map(|judged| judged.found.as_ref());
    let mut keys: Vec<String> = found()
        .filter(|found| found.signed != Signed::HashOnly)
        .map(|found| key_id(&found.header.public_key))
        .collect();
    keys.dedup();
    let problems: Vec<String> = judged
        .iter()
        .flat_map(|judged| judged.problems.iter().map(|text| format!("{}: {text}", judged.path.display())))
        .collect();
    let verdict = if !problems.is_empty() {
        ProofVerdict::Damaged
    } else if found().any(|found| found.signed == Signed::HashOnly) {
        ProofVerdict::HashOnly
    } else if found().any(|found| found.signed == Signed::BySelf) {
        ProofVerdict::Unvouched
    } else {
        ProofVerdict::Genuine
    };
    let open_end = found().any(|found| matches!(found.end, End::Open { .. }));
    Proof { verdict, keys, open_end, problems }
}
