//! The arithmetic of trends, by example and by property.

use proptest::prelude::*;

use super::*;

const END: i64 = 1_795_219_200;

fn mk_time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a time")
}

/// Points one minute apart, the last one at the end of the window.
fn mk_points(values: &[f64]) -> Vec<Point> {
    let count = i64::try_from(values.len()).expect("few values");
    let at = |nth: i64| mk_time(END - (count - 1 - nth) * 60);
    values.iter().zip(0..).map(|(value, nth)| Point { at: at(nth), value: *value }).collect()
}

fn mk_trend(values: &[f64]) -> Trend {
    Trend::over(&mk_points(values), mk_time(END)).expect("points")
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// Equal up to rounding, by the size of the numbers involved.
fn near(left: f64, right: f64, scale: f64) -> bool {
    (left - right).abs() <= 1e-9 * scale.max(1.0)
}

#[test]
fn a_rising_series_has_its_extremes_mean_and_slope() {
    let trend = mk_trend(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!((trend.last, trend.min, trend.max, trend.points), (5.0, 1.0, 5.0, 5));
    assert!(near(trend.avg, 3.0, 1.0));
    let line = trend.line.expect("a line");
    assert!(near(line.slope_per_hour, 60.0, 1.0) && near(line.at_end, 5.0, 1.0), "{line:?}");
    assert_eq!(line.covers, minutes(4));
    assert!(near(trend.predict(minutes(10), minutes(4)).expect("a prediction"), 15.0, 1.0));
}

#[test]
fn without_points_there_is_nothing_and_one_moment_has_no_trend() {
    assert_eq!(Trend::over(&[], mk_time(END)), None);
    assert_eq!(Crossings::of(&[], 1.0), None);
    assert_eq!(mk_trend(&[7.0]).line, None);
    let twice = [mk_points(&[1.0])[0], mk_points(&[2.0])[0]];
    assert_eq!(Trend::over(&twice, mk_time(END)).and_then(|trend| trend.line), None);
}

#[test]
fn a_prediction_needs_enough_points_over_enough_of_the_window() {
    let trend = mk_trend(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    assert!(trend.predict(minutes(1), minutes(8)).is_some());
    assert_eq!(trend.predict(minutes(1), minutes(9)), None, "four minutes are less than half of nine");
    assert_eq!(mk_trend(&[1.0, 2.0, 3.0, 4.0]).predict(minutes(1), minutes(3)), None);
}

#[test]
fn values_at_the_end_of_the_range_of_numbers_are_left_out_and_not_infinite() {
    let trend = mk_trend(&[f64::MAX, -f64::MAX, f64::MAX, -f64::MAX, f64::MAX]);
    assert!(trend.avg.is_finite());
    assert!(trend.line.is_none_or(|line| line.slope_per_hour.is_finite()));
    assert!(trend.predict(minutes(1), minutes(4)).is_none_or(f64::is_finite));
}

#[test]
fn crossings_are_the_first_point_on_the_other_side() {
    let points = mk_points(&[1.0, 3.0, 1.0, 1.0, 3.0, 4.0]);
    let crossings = Crossings::of(&points, 2.0).expect("points");
    assert!(crossings.above);
    assert_eq!((crossings.first, crossings.last), (Some(points[1].at), Some(points[4].at)));
    assert_eq!(crossings.above_for, minutes(1));
    let below = Crossings::of(&points, 4.0).expect("points");
    assert!(!below.above && below.first.is_none(), "equal is not above");
    let always = Crossings::of(&points, 0.0).expect("points");
    assert_eq!((always.last, always.above_for), (None, minutes(5)));
}

proptest! {
    #[test]
    fn an_exact_line_is_found_and_followed(
        slope in -1e6..1e6_f64,
        start in -1e6..1e6_f64,
        count in 5..200_usize,
        ahead in 1..10_000_i64,
    ) {
        let values: Vec<f64> = (0..count).map(|nth| start + slope * nth as f64 / 60.0).collect();
        let trend = mk_trend(&values);
        let line = trend.line.expect("a line");
        let scale = (start.abs() + slope.abs()) * (ahead as f64 + count as f64);
        prop_assert!(near(line.slope_per_hour, slope, scale), "{} for {slope}", line.slope_per_hour);
        let expected = values[count - 1] + slope * ahead as f64 / 60.0;
        let predicted = trend.predict(minutes(ahead), minutes(count as i64 - 1)).expect("a prediction");
        prop_assert!(near(predicted, expected, scale), "{predicted} for {expected}");
    }

    #[test]
    fn extremes_enclose_the_mean_and_the_newest_value(values in prop::collection::vec(-1e300..1e300_f64, 1..50)) {
        let trend = mk_trend(&values);
        prop_assert!(trend.min <= trend.avg && trend.avg <= trend.max, "{trend:?}");
        prop_assert!(trend.min <= trend.last && trend.last <= trend.max, "{trend:?}");
        prop_assert_eq!(trend.points, values.len());
    }

    #[test]
    fn a_constant_has_no_slope_and_predicts_itself(value in -1e9..1e9_f64, count in 5..100_usize) {
        let trend = mk_trend(&vec![value; count]);
        let predicted = trend.predict(minutes(600), minutes(count as i64 - 1)).expect("a prediction");
        prop_assert!(near(trend.line.expect("a line").slope_per_hour, 0.0, value.abs()));
        prop_assert!(near(predicted, value, value.abs() * 100.0), "{predicted} for {value}");
    }

    #[test]
    fn lifting_a_series_lifts_its_prediction_and_keeps_its_slope(
        values in prop::collection::vec(-1e3..1e3_f64, 5..60),
        lift in -1e6..1e6_f64,
    ) {
        let lifted: Vec<f64> = values.iter().map(|value| value + lift).collect();
        let (low, high) = (mk_trend(&values), mk_trend(&lifted));
        let window = minutes(values.len() as i64 - 1);
        let (low_line, high_line) = (low.line.expect("a line"), high.line.expect("a line"));
        prop_assert!(near(low_line.slope_per_hour, high_line.slope_per_hour, 1e7));
        let (low, high) = (low.predict(minutes(60), window), high.predict(minutes(60), window));
        prop_assert!(near(low.expect("a prediction") + lift, high.expect("a prediction"), 1e7));
    }

    #[test]
    fn the_line_lies_no_worse_than_any_neighbour(values in prop::collection::vec(-100.0..100.0_f64, 3..40)) {
        let points = mk_points(&values);
        let line = mk_trend(&values).line.expect("a line");
        let error = |slope: f64, at_end: f64| -> f64 {
            points.iter().map(|point| {
                let x = point.at.duration_since(mk_time(END)).as_secs_f64() / 3600.0;
                (point.value - at_end - slope * x).powi(2)
            }).sum()
        };
        let best = error(line.slope_per_hour, line.at_end);
        for (slope, lift) in [(1.0, 0.0), (-1.0, 0.0), (0.0, 0.5), (0.0, -0.5), (2.0, 0.1)] {
            prop_assert!(best <= error(line.slope_per_hour + slope, line.at_end + lift) + 1e-6);
        }
    }

    #[test]
    fn crossings_agree_with_the_sides_of_the_points(
        values in prop::collection::vec(-10.0..10.0_f64, 1..40),
        threshold in -10.0..10.0_f64,
    ) {
        let points = mk_points(&values);
        let crossings = Crossings::of(&points, threshold).expect("points");
        prop_assert_eq!(crossings.above, values[values.len() - 1] > threshold);
        prop_assert_eq!(crossings.first.is_some(), crossings.last.is_some());
        prop_assert!(crossings.first <= crossings.last);
        let one_side = values.iter().all(|value| (*value > threshold) == (values[0] > threshold));
        prop_assert_eq!(crossings.first.is_none(), one_side);
        prop_assert!(crossings.above || crossings.above_for == SignedDuration::ZERO);
    }
}
