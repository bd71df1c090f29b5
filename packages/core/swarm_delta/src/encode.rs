//! Making a delta: of each chunk in every way that may be good, the smallest.

use sha2::{Digest, Sha256};

use crate::namesakes::stretches;
use crate::record::{CHUNK, DENSE, DENSE_WIDTH, Grid, Header, PLAIN, SAME, SPARSE, WIDTHS};
use crate::words;

/// zstd's level. Higher ones look for repetitions, which weights do not have.
const LEVEL: i32 = 3;

/// The delta from `base` to `result`. It is never much larger than the compressed result.
pub fn encode(base: &[u8], result: &[u8]) -> Vec<u8> {
    let header = Header {
        base_length: base.len() as u64,
        result_length: result.len() as u64,
        base_digest: Sha256::digest(base).into(),
        result_digest: Sha256::digest(result).into(),
    };
    let mut delta = header.to_bytes();
    for stretch in stretches(base, result) {
        let mut base_at = stretch.base_at;
        for chunk in result[stretch.place].chunks(CHUNK) {
            let counterpart = base_at.and_then(|at| base.get(at..at + chunk.len()).map(|bytes| (at, bytes)));
            delta.extend(record(chunk, counterpart));
            base_at = base_at.map(|at| at + chunk.len());
        }
    }
    delta
}

/// The delta, if it is smaller than `whole` bytes: what has to be transferred otherwise.
pub fn encode_if_smaller(base: &[u8], result: &[u8], whole: u64) -> Option<Vec<u8>> {
    let delta = encode(base, result);
    ((delta.len() as u64) < whole).then_some(delta)
}

/// The smallest record that makes the chunk; `counterpart` are the base's bytes and their place.
fn record(chunk: &[u8], counterpart: Option<(usize, &[u8])>) -> Vec<u8> {
    let Some((base_at, base)) = counterpart else { return plain(chunk) };
    let changes: Vec<u8> = chunk.iter().zip(base).map(|(one, other)| one ^ other).collect();
    if changes.iter().all(|byte| *byte == 0) {
        return begin(SAME, chunk.len(), Some(base_at));
    }
    let Some((grid, changed)) = sparsest(&changes) else { return plain(chunk) };
    let best = if changed * (grid.width + 1) < changes.len() / 2 {
        sparse(&changes, base_at, grid, changed)
    } else {
        dense(&changes, base_at)
    };
    // Whoever saves half by the base does not find more without it.
    if best.len() < chunk.len() / 2 {
        return best;
    }
    let plain = plain(chunk);
    if plain.len() < best.len() { plain } else { best }
}

/// The grid in which the changed words take the fewest bytes, and how many they are.
fn sparsest(changes: &[u8]) -> Option<(Grid, usize)> {
    let grids = WIDTHS.into_iter().flat_map(|width| (0..width).map(move |phase| (width, phase)));
    grids
        .filter_map(|(width, phase)| Grid::new(changes.len(), width, phase))
        .map(|grid| (grid, words::changed(changes, grid)))
        .min_by_key(|(grid, changed)| changed * (grid.width + 1))
}

fn plain(chunk: &[u8]) -> Vec<u8> {
    let mut record = begin(PLAIN, chunk.len(), None);
    push_part(&mut record, chunk);
    record
}

fn dense(changes: &[u8], base_at: usize) -> Vec<u8> {
    let mut record = begin(DENSE, changes.len(), Some(base_at));
    let grid = Grid { width: DENSE_WIDTH, phase: 0, words: changes.len() / DENSE_WIDTH };
    record.push(0);
    record.extend(words::edges(changes, grid));
    for k in 0..DENSE_WIDTH {
        push_part(&mut record, &words::plane(changes, grid, k));
    }
    record
}

fn sparse(changes: &[u8], base_at: usize, grid: Grid, changed: usize) -> Vec<u8> {
    let mut record = begin(SPARSE, changes.len(), Some(base_at));
    let (gaps, values) = words::gaps_and_values(changes, grid);
    record.extend([grid.width as u8, grid.phase as u8]);
    record.extend((changed as u32).to_le_bytes());
    record.extend((gaps.len() as u32).to_le_bytes());
    record.extend(words::edges(changes, grid));
    push_part(&mut record, &gaps);
    for values in values {
        push_part(&mut record, &values);
    }
    record
}

fn begin(kind: u8, length: usize, base_at: Option<usize>) -> Vec<u8> {
    let mut record = vec![kind];
    record.extend((length as u32).to_le_bytes());
    record.extend(base_at.into_iter().flat_map(|at| (at as u64).to_le_bytes()));
    record
}

/// Compressed where that saves something.
fn push_part(record: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let compressed = zstd::bulk::compress(bytes, LEVEL).ok().filter(|it| it.len() < bytes.len());
    let stored = compressed.as_deref().unwrap_or(bytes);
    record.extend((stored.len() as u32).to_le_bytes());
    record.extend(stored);
}
