//! Every way in which one tick can go, one after the other.

/// Answers questions of the form "which of these so many?" so that in the end every combination has been given once.
///
/// The first run takes the first way each time; [`Choices::next`] then changes the last question that has a way left, and the run
/// is repeated up to there. Later questions may depend on earlier answers.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// What was answered, and out of how many.
    made: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    /// One of `0..among`; 0 where there is nothing to choose.
    pub(super) fn choose(&mut self, among: usize) -> usize {
        if among <= 1 {
            return 0;
        }
        if self.at == self.made.len() {
            self.made.push((0, among));
        }
        let chosen = self.made.get(self.at).map_or(0, |(chosen, _)| *chosen);
        self.at += 1;
        chosen
    }

    /// Prepares the next run; false if there is none.
    pub(super) fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, among)) = self.made.last_mut() {
            *chosen += 1;
            if *chosen < *among {
                return true;
            }
            self.made.pop();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_comes_once_even_where_questions_depend_on_answers() {
        let mut choices = Choices::default();
        let mut seen = Vec::new();
        loop {
            let first = choices.choose(2);
            let second = if first == 0 { choices.choose(3) } else { choices.choose(1) };
            seen.push((first, second));
            if !choices.next() {
                break;
            }
        }
        assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 0)]);
    }
}
