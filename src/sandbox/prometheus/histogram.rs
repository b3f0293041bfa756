//! `histogram_quantile` over classic buckets: linear interpolation within the bucket that holds the quantile.
//!
//! Rules: prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile.

use super::promql::{Sample, unnamed};
use super::series::Labels;

/// The label that holds a bucket's upper bound.
const BOUND: &str = "le";

/// The quantile of each group of buckets that agree in everything but their bound.
pub(super) fn quantiles(quantile: f64, buckets: Vec<Sample>) -> Vec<Sample> {
    let mut groups: Vec<(Labels, Vec<(f64, f64)>)> = Vec::new();
    for bucket in buckets {
        let mut labels = unnamed(bucket.labels);
        // What is not a bucket is ignored, as Prometheus does.
        let Some(bound) = labels.remove(BOUND).and_then(|bound| bound.parse::<f64>().ok()) else { continue };
        match groups.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, members)) => members.push((bound, bucket.value)),
            None => groups.push((labels, vec![(bound, bucket.value)])),
        }
    }
    let one = |(labels, members)| Sample { labels, value: quantile_of(quantile, members) };
    groups.into_iter().map(one).collect()
}

fn quantile_of(quantile: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
    let total = match buckets.last() {
        Some(&(bound, total)) if bound.is_infinite() && total > 0.0 && buckets.len() > 1 => total,
        _ => return f64::NAN,
    };
    if !(0.0..=1.0).contains(&quantile) {
        return if quantile < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let rank = quantile * total;
    let index = buckets.iter().position(|&(_, count)| count >= rank).unwrap_or(buckets.len() - 1);
    let (bound, count) = buckets[index];
    if bound.is_infinite() {
        // Beyond the last finite bound nothing is known but that bound.
        return buckets[index - 1].0;
    }
    let (start, below) = if index == 0 { (0.0, 0.0) } else { buckets[index - 1] };
    start + (bound - start) * (rank - below) / (count - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_buckets(counts: &[(&str, f64)]) -> Vec<Sample> {
        let bucket = |&(bound, value): &(&str, f64)| {
            let labels = [(BOUND, bound), ("job", "api"), ("__name__", "x_bucket")];
            let labels =
                labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            Sample { labels, value }
        };
        counts.iter().map(bucket).collect()
    }

    fn quantile(quantile: f64, counts: &[(&str, f64)]) -> f64 {
        quantiles(quantile, mk_buckets(counts))[0].value
    }

    #[test]
    fn it_interpolates_within_the_bucket() {
        let counts = [("0.1", 50.0), ("0.2", 90.0), ("+Inf", 100.0)];
        assert!((quantile(0.5, &counts) - 0.1).abs() < 1e-9);
        assert!((quantile(0.7, &counts) - 0.15).abs() < 1e-9);
        assert!((quantile(0.25, &counts) - 0.05).abs() < 1e-9);
        assert!((quantile(0.99, &counts) - 0.2).abs() < 1e-9, "in the last bucket: its lower bound");
    }

    #[test]
    fn nothing_observed_is_not_a_number_and_labels_stay() {
        assert!(quantile(0.5, &[("0.1", 0.0), ("+Inf", 0.0)]).is_nan());
        assert!(quantile(0.5, &[("0.1", 5.0)]).is_nan(), "without +Inf there is no total");
        let result = quantiles(0.5, mk_buckets(&[("1", 1.0), ("+Inf", 2.0)]));
        assert_eq!(result[0].labels.keys().collect::<Vec<_>>(), ["job"]);
        assert_eq!(quantile(1.5, &[("1", 1.0), ("+Inf", 2.0)]), f64::INFINITY);
    }
}
