//! Deliveries: durable, in order, consumed once.

use super::{Subject, is_conflict};
use crate::build::*;
use smokejumper::engine::ports::{Commit, DeadLetter, PEEK_BYTES_MAX};

pub async fn deliveries_come_back_in_order_and_byte_for_byte(store: Subject) {
    let mut deliveries: Vec<_> = (0..5).map(mk_delivery).collect();
    deliveries[3].body = vec![0, 255, 1, b'\'', b'\\'].into();
    store
        .append(vec![deliveries[4].clone(), deliveries[1].clone(), deliveries[0].clone()])
        .await
        .expect("stored");
    store.append(vec![deliveries[3].clone(), deliveries[2].clone()]).await.expect("stored");
    assert_eq!(store.peek(None, 10).await.expect("readable"), deliveries);
    assert_eq!(store.peek(None, 2).await.expect("readable"), deliveries[..2]);
    let after = Some(deliveries[0].id.as_str());
    assert_eq!(store.peek(after, 10).await.expect("readable"), deliveries[1..], "what follows one");
    let last = deliveries.last().map(|delivery| delivery.id.as_str());
    assert_eq!(store.peek(last, 10).await.expect("readable"), [], "nothing follows the last");
    assert_eq!(store.inbox_depth().await.expect("countable"), 5);
}

pub async fn a_thousand_deliveries_are_one_write(store: Subject) {
    let deliveries: Vec<_> = (0..1_000).map(mk_delivery).collect();
    store.append(deliveries.clone()).await.expect("stored");
    assert_eq!(store.peek(None, 2_000).await.expect("readable"), deliveries);
}

pub async fn a_delivery_that_is_appended_again_is_there_once(store: Subject) {
    store.append(vec![mk_delivery(1)]).await.expect("stored");
    store
        .append(vec![mk_delivery(1), mk_delivery(2)])
        .await
        .expect("the answer was lost, so it is sent again");
    assert_eq!(store.inbox_depth().await.expect("countable"), 2);
}

pub async fn a_consumed_delivery_is_gone_and_cannot_be_consumed_again(store: Subject) {
    store.append(vec![mk_delivery(1), mk_delivery(2)]).await.expect("stored");
    let consume = |ids: &[u64]| Commit {
        consumed: ids.iter().map(|number| mk_delivery(*number).id).collect(),
        ..committing(vec![])
    };
    store.commit(consume(&[1])).await.expect("consumed");
    assert!(is_conflict(store.commit(consume(&[1, 2])).await), "another replica was first");
    assert_eq!(store.peek(None, 10).await.expect("readable"), [mk_delivery(2)], "nothing was written");
}

pub async fn a_dead_letter_leaves_the_inbox(store: Subject) {
    store.append(vec![mk_delivery(1), mk_delivery(2)]).await.expect("stored");
    let dead = DeadLetter { delivery: mk_delivery(1).id, error: "no JSON \0".to_owned() };
    let commit = Commit { dead: vec![dead.clone()], consumed: vec![mk_delivery(2).id], ..committing(vec![]) };
    store.commit(commit).await.expect("put away");
    assert_eq!(store.inbox_depth().await.expect("countable"), 0);
    let again = Commit { dead: vec![dead], ..committing(vec![]) };
    assert!(is_conflict(store.commit(again).await), "it was consumed");
}

pub async fn a_queue_of_large_deliveries_is_never_read_as_a_whole(store: Subject) {
    let deliveries: Vec<_> = (0..6)
        .map(|number| {
            let mut delivery = mk_delivery(number);
            delivery.body = vec![b'x'; PEEK_BYTES_MAX as usize / 3].into();
            delivery
        })
        .collect();
    store.append(deliveries.clone()).await.expect("stored");
    let first = store.peek(None, 100).await.expect("readable");
    assert_eq!(first, deliveries[..4], "the one that reaches the limit is the last one");
    let consumed = first.iter().map(|delivery| delivery.id.clone()).collect();
    store.commit(Commit { consumed, ..committing(vec![]) }).await.expect("consumed");
    assert_eq!(store.peek(None, 100).await.expect("readable"), deliveries[4..], "none is passed over");
    assert_eq!(store.peek(None, 1).await.expect("readable"), deliveries[4..5]);
}
