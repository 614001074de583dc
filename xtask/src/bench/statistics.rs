//! What many rounds say together.

/// From this spread on, as a part of the median, a row says nothing: its rounds disagree by more than most targets allow.
pub(crate) const TOO_NOISY: f64 = 0.25;

/// The middle of some values, and the range of the middle half of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            low: quantile(&sorted, 0.25)?,
            median: quantile(&sorted, 0.5)?,
            high: quantile(&sorted, 0.75)?,
        })
    }

    /// Whether the rounds agree too little to say anything.
    pub(crate) fn is_noise(&self) -> bool {
        self.high - self.low > TOO_NOISY * self.median
    }

    /// What it says of a target.
    pub(crate) fn against(&self, target: f64) -> Verdict {
        if self.is_noise() {
            Verdict::Noise
        } else if self.high <= target {
            Verdict::Met
        } else if self.low > target {
            Verdict::Missed
        } else {
            Verdict::Near
        }
    }
}

/// Between two values as far as the quantile is between them.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a short list"
)]
fn quantile(sorted: &[f64], quantile: f64) -> Option<f64> {
    let place = sorted.len().checked_sub(1)? as f64 * quantile;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// What a measurement says of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The target is within the spread.
    Near,
    Noise,
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::Near => "on the line",
            Self::Noise => "too noisy to say",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        Spread::of(values).unwrap_or(Spread { low: 0.0, median: 0.0, high: 0.0 })
    }

    #[test]
    fn a_spread_is_the_median_and_the_middle_half() {
        let found = spread(&[5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!((found.low, found.median, found.high), (2.0, 3.0, 4.0));
        assert_eq!(spread(&[1.0, 2.0]).median, 1.5);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn one_wild_round_changes_nothing() {
        let found = spread(&[1.0, 1.01, 1.02, 1.03, 900.0]);
        assert_eq!(found.against(1.1), Verdict::Met);
    }

    #[test]
    fn a_target_is_met_or_missed_where_the_whole_spread_is_on_one_side() {
        let found = spread(&[1.4, 1.45, 1.5, 1.55, 1.6]);
        assert_eq!(found.against(1.6), Verdict::Met);
        assert_eq!(found.against(1.3), Verdict::Missed);
        assert_eq!(found.against(1.5), Verdict::Near);
    }

    #[test]
    fn rounds_that_disagree_say_nothing() {
        assert_eq!(spread(&[0.5, 1.0, 1.5, 2.0, 2.5]).against(9.0), Verdict::Noise);
    }
}
