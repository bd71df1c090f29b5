//! Values over time, asked for at other times: measured ones are interpolated, commanded ones are not.

/// One quantity over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Nanoseconds since the epoch, rising.
    times: Vec<i64>,
    values: Vec<f64>,
}

/// What there is no value for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    #[error("it begins {} ms later", nanos / 1_000_000)]
    NotYet { nanos: i64 },
    #[error("it ended {} ms before", nanos / 1_000_000)]
    Over { nanos: i64 },
    #[error("it is silent for {} ms there", nanos / 1_000_000)]
    Gap { nanos: i64 },
    #[error("it has no messages")]
    Empty,
}

impl Series {
    /// Adds a value; one that is not newer than the newest is left out, and so is what is not finite.
    pub fn push(&mut self, time: i64, value: f64) {
        if value.is_finite() && self.times.last().is_none_or(|last| *last < time) {
            self.times.push(time);
            self.values.push(value);
        }
    }

    /// First and last time.
    pub fn span(&self) -> Option<(i64, i64)> {
        Some((*self.times.first()?, *self.times.last()?))
    }

    /// The value at `time`, on the straight line between its neighbours. They may be `gap` ns apart; at the ends the outermost
    /// value holds for half of that.
    pub fn measured(&self, time: i64, gap: i64) -> Result<f64, Silence> {
        let after = self.times.partition_point(|at| *at < time);
        match (after.checked_sub(1).map(|before| self.times[before]), self.times.get(after)) {
            (_, Some(at)) if *at == time => Ok(self.values[after]),
            (Some(before), Some(behind)) => {
                let step = behind - before;
                if step > gap {
                    return Err(Silence::Gap { nanos: step });
                }
                let part = (time - before) as f64 / step as f64;
                Ok(self.values[after - 1] + part * (self.values[after] - self.values[after - 1]))
            }
            (None, Some(first)) if first - time <= gap / 2 => Ok(self.values[0]),
            (Some(last), None) if time - last <= gap / 2 => Ok(self.values[after - 1]),
            (None, Some(first)) => Err(Silence::NotYet { nanos: first - time }),
            (Some(last), None) => Err(Silence::Over { nanos: time - last }),
            (None, None) => Err(Silence::Empty),
        }
    }

    /// The first value at or after `time`, if it comes within `gap` ns; else the one before, if that is not older.
    pub fn commanded(&self, time: i64, gap: i64) -> Result<f64, Silence> {
        let after = self.times.partition_point(|at| *at < time);
        if let Some(next) = self.times.get(after)
            && next - time <= gap
        {
            return Ok(self.values[after]);
        }
        let Some(before) = after.checked_sub(1) else {
            return Err(self
                .times
                .first()
                .map_or(Silence::Empty, |first| Silence::NotYet { nanos: first - time }));
        };
        let age = time - self.times[before];
        if age <= gap {
            return Ok(self.values[before]);
        }
        Err(self
            .times
            .get(after)
            .map_or(Silence::Over { nanos: age }, |next| Silence::Gap { nanos: next - self.times[before] }))
    }

    /// The newest value at `time`, however old; for what is sent only when it changes.
    pub fn latest(&self, time: i64) -> Result<f64, Silence> {
        match self.times.partition_point(|at| *at <= time).checked_sub(1) {
            Some(before) => Ok(self.values[before]),
            None => Err(self
                .times
                .first()
                .map_or(Silence::Empty, |first| Silence::NotYet { nanos: first - time })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn series() -> Series {
        let mut series = Series::default();
        for (time, value) in [(0, 1.0), (10, 2.0), (20, 4.0), (100, 5.0)] {
            series.push(time * MS, value);
        }
        series
    }

    #[test]
    fn a_measured_value_lies_on_the_line_between_its_neighbours() {
        assert_eq!(series().measured(10 * MS, 20 * MS), Ok(2.0));
        assert_eq!(series().measured(15 * MS, 20 * MS), Ok(3.0));
        assert_eq!(series().measured(60 * MS, 20 * MS), Err(Silence::Gap { nanos: 80 * MS }));
    }

    #[test]
    fn at_the_ends_it_holds_for_half_of_the_longest_silence() {
        assert_eq!(series().measured(-10 * MS, 20 * MS), Ok(1.0));
        assert_eq!(series().measured(-11 * MS, 20 * MS), Err(Silence::NotYet { nanos: 11 * MS }));
        assert_eq!(series().measured(110 * MS, 20 * MS), Ok(5.0));
        assert_eq!(series().measured(111 * MS, 20 * MS), Err(Silence::Over { nanos: 11 * MS }));
        assert_eq!(Series::default().measured(0, 20 * MS), Err(Silence::Empty));
    }

    #[test]
    fn a_command_is_the_first_from_then_on_and_else_the_one_in_force() {
        assert_eq!(series().commanded(5 * MS, 20 * MS), Ok(2.0));
        assert_eq!(series().commanded(10 * MS, 20 * MS), Ok(2.0));
        assert_eq!(series().commanded(30 * MS, 20 * MS), Ok(4.0));
        assert_eq!(series().commanded(60 * MS, 20 * MS), Err(Silence::Gap { nanos: 80 * MS }));
        assert_eq!(series().commanded(121 * MS, 20 * MS), Err(Silence::Over { nanos: 21 * MS }));
        assert_eq!(series().commanded(-21 * MS, 20 * MS), Err(Silence::NotYet { nanos: 21 * MS }));
        assert_eq!(series().latest(3600 * 1000 * MS), Ok(5.0));
    }

    #[test]
    fn what_is_not_newer_or_not_a_number_is_left_out() {
        let mut series = series();
        series.push(100 * MS, 9.0);
        series.push(101 * MS, f64::NAN);
        assert_eq!(series.span(), Some((0, 100 * MS)));
    }
}
