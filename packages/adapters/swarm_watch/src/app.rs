//! What the keys do.

use crate::timeline::Timeline;

/// Widths of a column, ns: 0.1 s to 10 s.
const ZOOMS_NS: [u64; 7] =
    [100_000_000, 200_000_000, 500_000_000, 1_000_000_000, 2_000_000_000, 5_000_000_000, 10_000_000_000];

/// Columns that an arrow key moves by.
const SCROLL: u64 = 10;

/// A key, as far as it means anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Quit,
    /// Stop the picture; what comes is remembered all the same.
    Pause,
    Earlier,
    Later,
    /// Back to the present.
    Now,
    ZoomIn,
    ZoomOut,
}

/// What is on the screen.
#[derive(Debug)]
pub struct App {
    pub timeline: Timeline,
    /// The moment at the right edge, if it is not the present one.
    frozen_ns: Option<u64>,
    zoom: usize,
    quit: bool,
    /// Why nothing new comes, if so.
    pub trouble: String,
}

impl Default for App {
    fn default() -> Self {
        Self { timeline: Timeline::default(), frozen_ns: None, zoom: 2, quit: false, trouble: String::new() }
    }
}

impl App {
    pub fn press(&mut self, key: Key) {
        match key {
            Key::Quit => self.quit = true,
            Key::Pause if self.frozen_ns.is_some() => self.frozen_ns = None,
            Key::Pause => self.frozen_ns = Some(self.end_ns()),
            Key::Earlier => {
                self.frozen_ns = Some(self.end_ns().saturating_sub(SCROLL * self.column_ns()));
            }
            Key::Later => {
                let later = self.end_ns().saturating_add(SCROLL * self.column_ns());
                self.frozen_ns = Some(later).filter(|later| self.is_frozen() && *later < self.newest_ns());
            }
            Key::Now => self.frozen_ns = None,
            Key::ZoomIn => self.zoom = self.zoom.saturating_sub(1),
            Key::ZoomOut => self.zoom = (self.zoom + 1).min(ZOOMS_NS.len() - 1),
        }
    }

    pub fn wants_to_quit(&self) -> bool {
        self.quit
    }

    pub fn is_frozen(&self) -> bool {
        self.frozen_ns.is_some()
    }

    /// The moment at the right edge, ns since 1970.
    pub fn end_ns(&self) -> u64 {
        self.frozen_ns.unwrap_or_else(|| self.newest_ns())
    }

    pub fn column_ns(&self) -> u64 {
        ZOOMS_NS[self.zoom]
    }

    /// How far the right edge is behind the newest view, s.
    pub fn behind_s(&self) -> f64 {
        self.newest_ns().saturating_sub(self.end_ns()) as f64 * 1e-9
    }

    fn newest_ns(&self) -> u64 {
        self.timeline.last().map_or(0, |view| view.unix_ns)
    }
}

#[cfg(test)]
mod tests {
    use swarm_view::CellView;

    use super::*;

    fn at(app: &mut App, second: u64) {
        let unix_ns = second * 1_000_000_000;
        app.timeline.add(CellView { sequence: second, unix_ns, ..CellView::default() });
    }

    #[test]
    fn pause_keeps_the_picture_while_views_go_on_coming() {
        let mut app = App::default();
        at(&mut app, 100);
        app.press(Key::Pause);
        at(&mut app, 103);
        assert!(app.is_frozen());
        assert_eq!((app.end_ns(), app.behind_s()), (100_000_000_000, 3.0));
        app.press(Key::Pause);
        assert_eq!((app.end_ns(), app.is_frozen()), (103_000_000_000, false));
    }

    #[test]
    fn arrows_scroll_by_ten_columns_and_the_present_is_followed_again() {
        let mut app = App::default();
        at(&mut app, 100);
        app.press(Key::Earlier);
        app.press(Key::Earlier);
        assert_eq!(app.end_ns(), 90_000_000_000);
        app.press(Key::Later);
        assert_eq!(app.end_ns(), 95_000_000_000);
        app.press(Key::Later);
        assert!(!app.is_frozen(), "the present is reached");
        app.press(Key::Later);
        assert!(!app.is_frozen(), "and not passed");
        app.press(Key::Earlier);
        app.press(Key::Now);
        assert!(!app.is_frozen());
    }

    #[test]
    fn zoom_stops_at_its_ends() {
        let mut app = App::default();
        for _ in 0..20 {
            app.press(Key::ZoomOut);
        }
        assert_eq!(app.column_ns(), 10_000_000_000);
        for _ in 0..20 {
            app.press(Key::ZoomIn);
        }
        assert_eq!(app.column_ns(), 100_000_000);
        app.press(Key::Quit);
        assert!(app.wants_to_quit());
    }
}
