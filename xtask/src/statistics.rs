//! Medians, and how sure one is of them.

/// How sure one wants to be.
const CONFIDENCE: f64 = 0.95;

/// From this spread on, as a part of the median, rounds are said to disagree: by more than most targets allow.
pub(crate) const NOISY: f64 = 0.25;

/// What many rounds of the same say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    /// The middle half of the values is between these.
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Where the true median is, with a confidence of 95 %: none where there are too few rounds to say.
    pub(crate) interval: Option<(f64, f64)>,
}

impl Summary {
    /// `None` for no values at all.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let quarter = values.len().checked_sub(1)? / 4;
        let (low, high) = (*values.get(quarter)?, *values.get(values.len() - 1 - quarter)?);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = match values.len() % 2 {
            0 => f64::midpoint(*values.get(middle - 1)?, upper),
            _ => upper,
        };
        let interval = rank(values.len())
            .and_then(|rank| Some((*values.get(rank)?, *values.get(values.len() - 1 - rank)?)));
        Some(Self { median, low, high, interval })
    }
}

/// How many values from each end the interval of the median begins: each value is below the true median with a probability
/// of one half, whatever the noise looks like.
fn rank(count: usize) -> Option<usize> {
    let outside = |rank: usize| {
        // Of `count` values at most `rank` are on one side.
        let (mut term, mut sum) = (0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX)), 0.0);
        for below in 0..=rank {
            sum += term;
            term *= (count - below) as f64 / (below + 1) as f64;
        }
        2.0 * sum
    };
    (0..count / 2).take_while(|rank| outside(*rank) <= 1.0 - CONFIDENCE).last()
}

/// Whether a target is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The noise is too large to say.
    Unclear,
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::Unclear => "too much noise to conclude",
        }
    }
}

impl Summary {
    /// Whether the rounds disagree.
    pub(crate) fn is_noisy(&self) -> bool {
        self.high - self.low > NOISY * self.median
    }

    /// Whether it is this much or more.
    pub(crate) fn at_least(&self, target: f64) -> Verdict {
        match self.interval {
            Some((lower, _)) if lower >= target => Verdict::Met,
            Some((_, upper)) if upper < target => Verdict::Missed,
            _ => Verdict::Unclear,
        }
    }

    /// Whether it is this much or less.
    pub(crate) fn at_most(&self, target: f64) -> Verdict {
        match self.interval {
            Some((_, upper)) if upper <= target => Verdict::Met,
            Some((lower, _)) if lower > target => Verdict::Missed,
            _ => Verdict::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Summary {
        Summary::of(values.iter().copied()).unwrap()
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(of(&[3.0, 1.0, 2.0]).median, 2.0);
        let even = of(&[4.0, 1.0, 2.0, 3.0]);
        assert_eq!((even.median, even.low, even.high), (2.5, 1.0, 4.0));
        let nine = of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!((nine.low, nine.high), (3.0, 7.0));
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn an_interval_takes_six_rounds() {
        // The tables of the sign test.
        let ranks = [1, 5, 6, 8, 9, 11, 12].map(rank);
        assert_eq!(ranks, [None, None, Some(0), Some(0), Some(1), Some(1), Some(2)]);
        assert_eq!(of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]).interval, Some((2.0, 8.0)));
        assert_eq!(of(&[1.0, 2.0]).interval, None);
    }

    #[test]
    fn a_target_is_met_or_missed_where_the_whole_interval_is_on_one_side() {
        let summary = of(&[0.90, 0.91, 0.92, 0.93, 0.94, 0.95]);
        let least = [0.90, 0.96, 0.93].map(|target| summary.at_least(target));
        assert_eq!(least, [Verdict::Met, Verdict::Missed, Verdict::Unclear]);
        let most = [0.95, 0.89, 0.93].map(|target| summary.at_most(target));
        assert_eq!(most, [Verdict::Met, Verdict::Missed, Verdict::Unclear]);
        assert_eq!(of(&[2.0]).at_least(1.0), Verdict::Unclear);
    }

    #[test]
    fn one_wild_round_changes_nothing() {
        let summary = of(&[1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 900.0]);
        assert_eq!(summary.at_most(1.1), Verdict::Met);
        assert!(!summary.is_noisy() && of(&[0.5, 1.0, 1.5, 2.0, 2.5]).is_noisy());
    }
}
