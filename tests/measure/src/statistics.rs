//! Medians, and how sure one can be of them.

/// Rounds disagree from this spread on, as a part of the median: it is more than most targets allow.
pub const NOISY: f64 = 0.25;

/// From so many rounds on the middle half of them holds the true median with a confidence of 95 % or more, whatever the
/// noise looks like. Each round is below the true median with a probability of one half, and at most 5 of 21 are with 1.3 %.
const ENOUGH: usize = 21;

/// Returns the median; `None` for no values at all.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    Summary::of(values).map(|summary| summary.median)
}

/// What many rounds of the same say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Half of the values are below it.
    pub median: f64,
    /// The middle half of the values begins here.
    pub low: f64,
    /// The middle half of the values ends here.
    pub high: f64,
    rounds: usize,
}

impl Summary {
    /// Returns `None` for no values at all.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let from_both_ends = |rank: usize| (values[rank], values[last - rank]);
        let ((below, above), (low, high)) = (from_both_ends(last / 2), from_both_ends(last / 4));
        Some(Self { median: f64::midpoint(below, above), low, high, rounds: values.len() })
    }

    /// Returns whether the rounds disagree.
    pub fn is_noisy(&self) -> bool {
        self.high - self.low > NOISY * self.median
    }

    /// Returns the verdict on "this much or more".
    pub fn at_least(&self, target: f64) -> &'static str {
        self.verdict(self.low >= target, self.high < target)
    }

    /// Returns the verdict on "this much or less".
    pub fn at_most(&self, target: f64) -> &'static str {
        self.verdict(self.high <= target, self.low > target)
    }

    fn verdict(&self, is_met: bool, is_missed: bool) -> &'static str {
        match (is_met, is_missed) {
            _ if self.rounds < ENOUGH => "too few rounds",
            (true, _) => "met",
            (_, true) => "**missed**",
            _ => "too much noise to conclude",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle_and_one_wild_round_does_not_move_it() {
        assert_eq!((median([3.0, 1.0, 900.0]), median([])), (Some(3.0), None));
        let of = |values: &[f64]| Summary::of(values.iter().copied()).unwrap();
        let (even, nine) = (of(&[4.0, 1.0, 2.0, 3.0]), of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]));
        assert_eq!([even.median, even.low, even.high], [2.5, 1.0, 4.0]);
        assert_eq!([nine.median, nine.low, nine.high], [5.0, 3.0, 7.0]);
        assert!(nine.is_noisy() && !of(&[1.0, 1.01, 1.02, 1.03, 900.0]).is_noisy());
    }

    #[test]
    fn a_target_is_met_or_missed_if_the_whole_middle_half_is_on_one_side() {
        let rounds = |count: u8| Summary::of((0..count).map(f64::from)).unwrap();
        let most = [15.0, 4.0, 10.0].map(|target| rounds(21).at_most(target));
        assert_eq!(most, ["met", "**missed**", "too much noise to conclude"]);
        let least = [5.0, 16.0, 10.0].map(|target| rounds(21).at_least(target));
        assert_eq!(least, most);
        assert_eq!(rounds(20).at_most(99.0), "too few rounds");
    }
}
