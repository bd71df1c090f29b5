//! Evidence `capture-discovery`: how many devices of a link with bad manners are found in how much time, beside a strict client.
//! Needs root, iproute2, and Python with ipycam and WSDiscovery (`SWARM_TEST_PYTHON`).
//!
//!     discovery [--short] OUTPUT.json
//!
//! 1. Real devices and a fleet of fakes are put on a bridge of network namespaces. The fakes' manners are listed in
//!    `swarm_camera_bed::onvif::fleet`; among them are a web page and a printer, which must not be found.
//! 2. From another namespace the link is asked several times. `found` is that of the worst round, and `seconds` that of the
//!    longest, each from before the first socket is opened until after the last device is told.
//! 3. PyPI WSDiscovery looks for the same devices with the three seconds that it takes by itself.
//!
//! A device counts as found when its own address is among those of one found device.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use swarm_camera_bed::namespace::{Bench, Namespace};
use swarm_camera_bed::onvif::fleet::{Fake, Fleet, Manner};
use swarm_camera_bed::onvif::peers::{self, Peer};
use swarm_onvif::{DEFAULT_ROUND, Discovery, Interfaces, ServiceUrl, discover};

/// Devices of each manner.
const OF_EACH: usize = 6;
const STRICT_SECONDS: f64 = 3.0;
/// Before each round. WSDiscovery's publisher takes ten datagrams a second from its queue, and hears what others answer to the
/// group: rounds without a rest measure what is left in that queue.
const REST: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("discovery: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (rounds, output) = match arguments[..] {
        ["--short", output] => (1, PathBuf::from(output)),
        [output] if !output.starts_with('-') => (10, PathBuf::from(output)),
        _ => bail!("expected: discovery [--short] OUTPUT.json"),
    };
    let result = measure(rounds)?;
    println!("{result:#}");
    write(&output, &result)
}

fn write(output: &Path, result: &Value) -> Result<()> {
    std::fs::write(output, format!("{result:#}\n"))
        .with_context(|| format!("cannot write {}", output.display()))
}

/// Where a device must be found: host and path.
type Place = (IpAddr, String);

fn measure(rounds: usize) -> Result<Value> {
    let mut bench = Bench::new()?;
    let (peers, hosts) = peers::cell(&mut bench)?;
    let mut manners: Vec<Manner> =
        Manner::DEVICES.into_iter().cycle().take(OF_EACH * Manner::DEVICES.len()).collect();
    manners.extend([Manner::Junk, Manner::Printer]);
    let fleet = Fleet::start(&mut bench, &manners)?;
    let recorder = bench.host("rec", &["192.168.1.10/24"])?;

    let fakes = fleet.fakes.iter().filter(|fake| Manner::DEVICES.contains(&fake.manner)).map(Fake::expected);
    let expected: BTreeSet<Place> =
        peers.iter().map(place).collect::<Result<Vec<_>>>()?.into_iter().chain(fakes).collect();
    let mut worst: Option<BTreeSet<Place>> = None;
    let (mut seconds, mut phantoms) = (Vec::new(), 0);
    for _ in 0..rounds {
        thread::sleep(REST);
        let (discovery, took) = round(&recorder)?;
        let missed: BTreeSet<Place> = expected.difference(&places(&discovery)).cloned().collect();
        let told = discovery.devices.len();
        phantoms = phantoms.max(told.saturating_sub(expected.len() - missed.len()));
        seconds.push(took);
        if worst.as_ref().is_none_or(|worst| worst.len() < missed.len()) {
            worst = Some(missed);
        }
    }
    let missed = worst.unwrap_or_default();
    let strict = peers::strict_client(&recorder, STRICT_SECONDS)?;
    let strict_places: BTreeSet<Place> = strict
        .values()
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|address| at(&address.as_str()?.parse().ok()?))
        .collect();
    let strict_found = expected.intersection(&strict_places).count();
    let names: Vec<&str> = peers.iter().map(|peer| peer.name).collect();
    drop((peers, hosts));
    ensure!(!expected.is_empty(), "no device was started");
    seconds.sort_by(f64::total_cmp);
    println!("real devices: {}; fakes: {OF_EACH} of each of {:?}", names.join(", "), Manner::DEVICES);
    for (ip, path) in &missed {
        println!("missed: {ip}{path}");
    }
    Ok(json!({
        "figures": {
            "devices": expected.len(),
            "found": expected.len() - missed.len(),
            "seconds": seconds.last(),
            "strict_client_found": strict_found,
            "phantoms": phantoms,
            "rounds": rounds,
        },
        "reference": { "strict_client_seconds": STRICT_SECONDS },
    }))
}

/// One round from inside of `recorder`, and how many seconds it took.
fn round(recorder: &Namespace) -> Result<(Discovery, f64)> {
    recorder.run(|| -> Result<(Discovery, f64)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let start = Instant::now();
        let discovery = runtime.block_on(discover(&Interfaces::All, DEFAULT_ROUND))?;
        Ok((discovery, start.elapsed().as_secs_f64()))
    })?
}

fn places(discovery: &Discovery) -> BTreeSet<Place> {
    discovery.devices.iter().flat_map(|device| &device.addresses).filter_map(at).collect()
}

fn place(peer: &Peer) -> Result<Place> {
    let address: ServiceUrl = peer.address.parse()?;
    at(&address).with_context(|| format!("{address} has no IP address"))
}

fn at(address: &ServiceUrl) -> Option<Place> {
    Some((address.host().ip()?, address.path().to_owned()))
}
