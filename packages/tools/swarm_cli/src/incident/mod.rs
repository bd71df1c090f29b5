//! What stopped a cell: the stop with its cause and the limit behind it, how near every limit was before it, what each input
//! did, whether the recording can be believed, and whether other limits would have stopped the cell elsewhere.
//!
//! Vocabulary
//! - *recording*: files of the safety monitor's black box, or a bag. A bag has the statuses (50 Hz and at every change) and
//!   not the inputs of each cycle, so less can be said from it; what is not known is null in JSON and `unknown` on the page.
//! - *start*: from one start of the monitor to its end. A folder of black-box files may hold several.
//! - *stop*: a stop state in which the cell was not before. They are counted from 1 in their start.
//! - *window*: the 10 s before the stop and the second after it.
//! - *figure*: a measured value with its limit, see [`Quantity`].
//!
//! Flow
//! 1. [`from_box`] or [`from_bag`] chooses the stop and fills one [`Recorded`]: everything behind it is the same for both.
//! 2. [`Report::of`] works out what is said: it is the JSON, and text and page show nothing else.
//! 3. [`text`] prints it; [`page`] draws the window beside it; [`foxglove`] lays out the bag's topics for Foxglove; and
//!    [`folder`] writes all files or none.

mod drawings;
mod folder;
mod foxglove;
mod from_bag;
mod from_box;
mod page;
mod provenance;
mod quantity;
mod recorded;
mod report;
mod text;

use ed25519_dalek::VerifyingKey;

pub(crate) use folder::write;
pub(crate) use from_bag::{is_bag, read as read_bag};
pub(crate) use from_box::read as read_box;
pub(crate) use quantity::Quantity;
pub(crate) use recorded::Recorded;
pub(crate) use report::Report;
pub(crate) use text::show;

/// What the user asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// Which start of the monitor, from 1; by default the newest that has a stop.
    pub start: Option<usize>,
    /// Which stop of the start, from 1.
    pub stop: usize,
    /// Text of another envelope.
    pub what_if: Option<&'a str>,
    /// Keys that the user vouches for; none: the recording's own is taken.
    pub keys: &'a [VerifyingKey],
}
