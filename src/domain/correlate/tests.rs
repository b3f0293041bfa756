//! Keys tell incidents apart, whatever the labels hold.

use super::*;
use proptest::prelude::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn an_absent_label_counts_as_empty() {
    let by = ["instance".to_owned()];
    assert_eq!(group_labels(&by, &labels(&[])), group_labels(&by, &labels(&[("instance", "")])));
}

#[test]
fn values_cannot_run_into_each_other() {
    let one = CorrelationKey::for_group("r", &labels(&[("a", "1,b=1:2"), ("b", "")]));
    let other = CorrelationKey::for_group("r", &labels(&[("a", "1"), ("b", "2")]));
    assert_ne!(one, other);
}

#[test]
fn a_key_tells_what_its_incident_is_about_and_where_that_is() {
    let target =
        Target { kind: "Deployment".to_owned(), namespace: "shop".to_owned(), name: "api".to_owned() };
    let key = CorrelationKey::for_target("errors", &target);
    assert_eq!((key.subject("errors"), key.namespace("errors")), ("Deployment/shop/api", Some("shop")));
    for (pairs, namespace) in [
        (&[("namespace", "shop"), ("service", "a/b")][..], Some("shop")),
        (&[("instance", "namespace=4:bank,"), ("namespace", "shop")][..], Some("shop")),
        (&[("instance", "x/y/z")][..], None),
        (&[("namespace", "")][..], None),
        (&[][..], None),
    ] {
        let key = CorrelationKey::for_group("errors", &labels(pairs));
        assert_eq!(key.namespace("errors"), namespace, "{pairs:?}");
    }
}

proptest! {
    #[test]
    fn different_groups_have_different_bounded_keys(
        one in proptest::collection::btree_map("[a-c]{1,2}", ".{0,300}", 0..4),
        other in proptest::collection::btree_map("[a-c]{1,2}", ".{0,300}", 0..4),
    ) {
        let (left, right) = (CorrelationKey::for_group("r", &one), CorrelationKey::for_group("r", &other));
        prop_assert_eq!(one == other, left == right);
        prop_assert!(left.0.len() < 300);
    }
}
