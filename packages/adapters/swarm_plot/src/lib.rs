//! Drawings over time, as SVG elements for a page, and the style of that page: what the reports of the suite have in common.
//!
//! Vocabulary
//! - [`Samples`]: one figure over time; what is not known is a gap and never drawn as zero.
//! - [`Plot`]: figures with their limits, below one another on the same time axis. [`Timeline`]: rows of named blocks.
//! - [`Mark`]: an instant that every drawing shows, such as a stop.
//! - [`Colour`]: one for light ground and one for dark. A drawing is made in the light ones, and [`style`] exchanges them.
//!
//! A page is one file: drawings and style stand in it, nothing is loaded, and no script runs.
//!
//! Deliberately absent: what a page says (a tool's), files, clocks.

mod chart;
pub mod colour;
mod page;
mod series;

pub use chart::{Block, Mark, Plot, Row, Series, Side, Timeline};
pub use colour::Colour;
pub use page::{short, style};
pub use series::Samples;
