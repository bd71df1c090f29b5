//! The page's colours. A drawing is made in the light colours; the style sheet finds each by its value and, on a dark
//! screen, puts the dark one in its place. So a colour is also a handle: limit lines have colours of their own, a hair
//! beside those of the figures, by which the style sheet knows them and dashes them.

use plotters::style::RGBColor;

/// A colour on light and on dark ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    pub(crate) light: RGBColor,
    pub(crate) dark: RGBColor,
}

const fn colour(light: (u8, u8, u8), dark: (u8, u8, u8)) -> Colour {
    Colour { light: RGBColor(light.0, light.1, light.2), dark: RGBColor(dark.0, dark.1, dark.2) }
}

/// Text and marks of first and second rank, and lines of the grid.
pub const INK: Colour = colour((0x1F, 0x1F, 0x1E), (0xF2, 0xF1, 0xEC));
pub const FAINT_INK: Colour = colour((0x5C, 0x5B, 0x57), (0xB4, 0xB2, 0xA9));
pub const GRID: Colour = colour((0xE4, 0xE3, 0xDE), (0x38, 0x38, 0x36));

/// One per robot, in the order of the log; told apart by people with any colour vision.
pub const ROBOTS: [Colour; 3] = [
    colour((0x2A, 0x78, 0xD6), (0x5B, 0x9E, 0xEE)),
    colour((0x12, 0x8A, 0x5F), (0x2F, 0xB5, 0x85)),
    colour((0xC8, 0x4E, 0x1E), (0xEE, 0x7E, 0x4E)),
];
/// Limits: of all robots alike, then of each robot.
pub const COMMON_LIMIT: Colour = colour((0x5C, 0x5B, 0x58), (0xB4, 0xB2, 0xA8));
pub const ROBOT_LIMITS: [Colour; 3] = [
    colour((0x2A, 0x78, 0xD7), (0x5B, 0x9E, 0xEF)),
    colour((0x12, 0x8A, 0x60), (0x2F, 0xB5, 0x86)),
    colour((0xC8, 0x4E, 0x1F), (0xEE, 0x7E, 0x4F)),
];

pub const GOOD: Colour = colour((0x2E, 0x8B, 0x2E), (0x55, 0xB8, 0x55));
pub const WARNING: Colour = colour((0xD8, 0x96, 0x0C), (0xF0, 0xB4, 0x3A));
pub const CRITICAL: Colour = colour((0xC9, 0x2F, 0x2F), (0xF0, 0x6A, 0x6A));
/// What would have been.
pub const OTHERWISE: Colour = colour((0x8A, 0x5A, 0x00), (0xF2, 0xCB, 0x7E));
pub const IDLE: Colour = colour((0x9A, 0x99, 0x93), (0x77, 0x76, 0x71));

const DRAWN: [Colour; 15] = [
    INK,
    FAINT_INK,
    GRID,
    ROBOTS[0],
    ROBOTS[1],
    ROBOTS[2],
    COMMON_LIMIT,
    ROBOT_LIMITS[0],
    ROBOT_LIMITS[1],
    ROBOT_LIMITS[2],
    GOOD,
    WARNING,
    CRITICAL,
    OTHERWISE,
    IDLE,
];

/// The robot's colour; a fourth robot starts again.
pub fn of_robot(index: usize) -> Colour {
    ROBOTS[index % ROBOTS.len()]
}

pub fn limit_of_robot(index: usize) -> Colour {
    ROBOT_LIMITS[index % ROBOT_LIMITS.len()]
}

/// `#RRGGBB`, as the drawing library writes it.
pub(crate) fn hex(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

/// Class of the legend's line for the robot.
pub fn robot_class(index: usize) -> String {
    format!("robot{}", index % ROBOTS.len())
}

/// Style rules of both grounds: the limits' lines are dashed, the legend has the drawings' colours.
pub(crate) fn light_rules(dashes: &str) -> String {
    let limits = std::iter::once(&COMMON_LIMIT).chain(&ROBOT_LIMITS);
    let selectors: Vec<_> = limits.map(|limit| format!("svg [stroke=\"{}\"]", hex(limit.light))).collect();
    format!("{}{{stroke-dasharray:{dashes}}}", selectors.join(",")) + &legend_rules(|colour| colour.light)
}

/// Style rules that put the dark colours in the place of the light ones.
pub(crate) fn dark_rules() -> String {
    let rule = |colour: &Colour| {
        let (light, dark) = (hex(colour.light), hex(colour.dark));
        format!("svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}")
    };
    DRAWN.iter().map(rule).collect::<String>() + &legend_rules(|colour| colour.dark)
}

fn legend_rules(ground: impl Fn(&Colour) -> RGBColor) -> String {
    let robots = ROBOTS.iter().enumerate().map(|(index, robot)| (robot_class(index), robot));
    let all = robots.chain([("stop".to_owned(), &CRITICAL), ("other".to_owned(), &OTHERWISE)]);
    let rule = |(class, colour)| format!(".{class}{{color:{}}}", hex(ground(colour)));
    all.map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_a_handle_of_its_own() {
        for (index, colour) in DRAWN.iter().enumerate() {
            assert!(DRAWN[..index].iter().all(|other| other.light != colour.light), "{}", hex(colour.light));
        }
    }

    /// WCAG 2.2, 1.4.3 and 1.4.11: text 4.5 : 1, lines and areas that carry meaning 3 : 1, on the page's ground.
    #[test]
    fn contrast_is_enough_on_both_grounds() {
        let channel = |byte: u8| {
            let c = f64::from(byte) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        let luminance = |c: RGBColor| 0.2126 * channel(c.0) + 0.7152 * channel(c.1) + 0.0722 * channel(c.2);
        let contrast = |a: RGBColor, b: RGBColor| {
            let (a, b) = (luminance(a), luminance(b));
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        };
        let (white, black) = (crate::page::LIGHT_GROUND, crate::page::DARK_GROUND);
        for (colour, least) in [(INK, 4.5), (FAINT_INK, 4.5), (OTHERWISE, 4.5)].into_iter().chain(
            [ROBOTS[0], ROBOTS[1], ROBOTS[2], COMMON_LIMIT, GOOD, CRITICAL].map(|colour| (colour, 3.0)),
        ) {
            assert!(contrast(colour.light, white) >= least, "{} on light", hex(colour.light));
            assert!(contrast(colour.dark, black) >= least, "{} on dark", hex(colour.dark));
        }
    }
}
