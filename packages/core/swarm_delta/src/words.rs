//! Words: how many changed, their bytes apart and together again.

use crate::record::{DENSE_WIDTH, Grid};

/// How many words of the grid, which is one of 4, 2 or 1 bytes, are not zero.
pub(crate) fn changed(bytes: &[u8], grid: Grid) -> usize {
    let body = &bytes[grid.body()];
    match grid.width {
        4 => body.as_chunks::<4>().0.iter().filter(|word| **word != [0; 4]).count(),
        2 => body.as_chunks::<2>().0.iter().filter(|word| **word != [0; 2]).count(),
        _ => body.iter().filter(|byte| **byte != 0).count(),
    }
}

/// The k-th byte of every word.
pub(crate) fn plane(bytes: &[u8], grid: Grid, k: usize) -> Vec<u8> {
    bytes[grid.body()].chunks_exact(grid.width).map(|word| word[k]).collect()
}

/// The bytes before the first word and after the last.
pub(crate) fn edges(bytes: &[u8], grid: Grid) -> Vec<u8> {
    let body = grid.body();
    [&bytes[..body.start], &bytes[body.end..]].concat()
}

/// Gaps between the words that are not zero, and those words' bytes by their place.
pub(crate) fn gaps_and_values(bytes: &[u8], grid: Grid) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut gaps = Vec::new();
    let mut values = vec![Vec::new(); grid.width];
    let mut gap = 0_usize;
    for word in bytes[grid.body()].chunks_exact(grid.width) {
        if word.iter().all(|byte| *byte == 0) {
            gap += 1;
            continue;
        }
        gaps.resize(gaps.len() + gap / 255, 255);
        gaps.push((gap % 255) as u8);
        gap = 0;
        for (values, byte) in values.iter_mut().zip(word) {
            values.push(*byte);
        }
    }
    (gaps, values)
}

/// Changes the edges of `target`; `edges` has as many bytes as there are.
pub(crate) fn change_edges(target: &mut [u8], grid: Grid, edges: &[u8]) {
    let body = grid.body();
    let (front, back) = edges.split_at(body.start);
    for (byte, change) in target[..body.start].iter_mut().zip(front) {
        *byte ^= change;
    }
    for (byte, change) in target[body.end..].iter_mut().zip(back) {
        *byte ^= change;
    }
}

/// Changes every word of `target`; `planes` has all first bytes, then all second ones, and so on.
pub(crate) fn change_densely(target: &mut [u8], planes: &[u8]) {
    let words = target.as_chunks_mut::<DENSE_WIDTH>().0;
    let count = words.len();
    let (first, rest) = planes.split_at(count);
    let (second, rest) = rest.split_at(count);
    let (third, fourth) = rest.split_at(count);
    let bytes = first.iter().zip(second).zip(third.iter().zip(fourth));
    for (word, ((a, b), (c, d))) in words.iter_mut().zip(bytes) {
        let change = u32::from_le_bytes([*a, *b, *c, *d]);
        *word = (u32::from_le_bytes(*word) ^ change).to_le_bytes();
    }
}

/// Changes some words of `target`: as many as one plane of `values` has bytes. The error says what is wrong with the gaps.
pub(crate) fn change_sparsely(
    target: &mut [u8],
    grid: Grid,
    gaps: &[u8],
    values: &[u8],
) -> Result<(), &'static str> {
    let body = &mut target[grid.body()];
    let count = values.len() / grid.width;
    let mut gaps = gaps.iter();
    let mut next = 0_usize;
    for i in 0..count {
        loop {
            let gap = *gaps.next().ok_or("there are fewer gaps than changed words")?;
            next += usize::from(gap);
            if gap < 255 {
                break;
            }
        }
        let word = (body.get_mut(next * grid.width..(next + 1) * grid.width))
            .ok_or("a changed word lies behind the end of the chunk")?;
        for (k, byte) in word.iter_mut().enumerate() {
            *byte ^= values[k * count + i];
        }
        next += 1;
    }
    if gaps.next().is_some() { Err("there are more gaps than changed words") } else { Ok(()) }
}
