//! Runs the contract on both engines.

use crate::contract::{self, Subject};
use crate::postgres::Postgres;
use smokejumper::store::memory::Memory;
use smokejumper::store::{OpenOptions, SqlStore};
use std::sync::Arc;
use tempfile::TempDir;

/// A store in a fresh SQLite file, with the directory that keeps it.
pub async fn sqlite() -> (Arc<SqlStore>, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let url = format!("sqlite://{}/store.db", directory.path().display());
    let store = SqlStore::open(&url, &OpenOptions::default()).await.expect("a new file opens");
    (Arc::new(store), directory)
}

/// A store in a fresh database of the shared PostgreSQL.
pub async fn postgres() -> Arc<SqlStore> {
    let url = tokio::task::spawn_blocking(|| Postgres::shared().database()).await.expect("no panic");
    Arc::new(SqlStore::open(&url, &OpenOptions::default()).await.expect("a new database opens"))
}

/// Promises that the store in memory keeps as well: all but those about reconciling, PagerDuty, clocks, deletion, and what
/// is true only of a database.
macro_rules! memory {
    ($($room:ident::$promise:ident,)*) => {
        mod memory_keeps_its_part_of_the_contract {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    contract::$room::$promise(Arc::new(Memory::whole()) as Subject).await;
                }
            )*
        }
    };
}

macro_rules! contract {
    ($($room:ident::$promise:ident,)*) => {
        mod sqlite_keeps_the_contract {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let (store, _directory) = sqlite().await;
                    contract::$room::$promise(store as Subject).await;
                }
            )*
        }

        mod postgres_keeps_the_contract {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    contract::$room::$promise(postgres().await as Subject).await;
                }
            )*
        }
    };
}

contract! {
    inbox::deliveries_come_back_in_order_and_byte_for_byte,
    inbox::a_thousand_deliveries_are_one_write,
    inbox::a_delivery_that_is_appended_again_is_there_once,
    inbox::a_consumed_delivery_is_gone_and_cannot_be_consumed_again,
    inbox::a_dead_letter_leaves_the_inbox,
    inbox::a_queue_of_large_deliveries_is_never_read_as_a_whole,
    incidents::an_incident_reads_back_equal_with_everything,
    incidents::an_incident_is_found_by_its_name_in_pagerduty,
    incidents::a_change_needs_the_version_that_was_loaded,
    incidents::a_version_may_rise_by_more_than_one,
    incidents::an_incident_that_is_gone_does_not_come_back,
    incidents::of_writers_that_race_exactly_one_wins,
    incidents::writers_of_the_same_incidents_in_any_order_never_hang,
    incidents::a_key_has_one_open_incident,
    incidents::a_key_finds_the_open_incident_or_the_one_that_ended_last,
    incidents::fingerprints_bring_their_alerts_and_live_incidents,
    incidents::an_ended_record_comes_with_the_incident_that_was_asked_for,
    incidents::an_alert_is_written_over,
    incidents::findings_of_the_same_name_are_replaced,
    incidents::a_part_that_fails_leaves_nothing_behind,
    incidents::a_commit_of_nothing_is_done,
    incidents::a_commit_that_is_abandoned_is_there_as_a_whole_or_not_at_all,
    incidents::a_thousand_rows_of_each_kind_are_one_commit,
    texts::hostile_text_reads_back_as_it_was,
    texts::labels_of_64_kilobytes_are_kept,
    effects::an_effect_is_claimed_with_what_was_wished,
    effects::a_lease_ends_and_the_next_one_has_a_higher_attempt,
    effects::an_effect_that_nobody_leased_cannot_be_finished,
    effects::a_lane_is_worked_off_in_order_one_at_a_time,
    effects::urgent_effects_go_first,
    effects::claims_of_many_workers_are_disjoint,
    effects::a_postponed_effect_and_its_lane_wait,
    effects::what_joins_a_postponed_lane_waits_with_it,
    effects::what_joins_a_leased_lane_follows_at_once,
    effects::a_lost_lease_cannot_be_postponed,
    effects::a_lease_that_goes_on_is_held_and_a_lost_one_is_a_conflict,
    effects::a_cancelled_effect_is_gone_unless_it_is_leased,
    effects::of_each_queue_one_is_claimed_and_the_urgent_one_first,
    effects::a_held_queue_is_left_alone,
    effects::a_queue_looks_past_what_waits_for_its_lane,
    effects::an_effect_without_its_incident_in_its_name_is_refused,
    effects::a_clock_that_went_back_takes_its_effects_along_once,
    effects::effects_from_the_future_wait_anew_where_nobody_saw_the_clock_go_back,
    ledger::starts_are_counted_over_the_version_they_were_judged_by,
    ledger::a_start_is_under_way_until_its_end_is_written,
    ledger::only_what_used_nothing_up_starts_a_second_time_as_the_same_action,
    ledger::open_incidents_are_found,
    ledger::of_too_many_open_incidents_the_newest_are_found_and_the_keys_of_a_rule,
    ledger::temporary_fixes_stand_until_they_are_undone,
    ledger::of_starts_judged_over_one_ledger_exactly_one_is_allowed,
    ledger::a_pause_is_set_replaced_and_lifted_and_voids_earlier_judgements,
    ledger::a_text_is_kept_once,
    reading::pages_of_incidents_run_from_new_to_old_without_gaps,
    reading::a_view_lists_a_bounded_number_of_alerts,
    reading::the_past_of_a_key_and_of_a_rule_is_told_from_its_end,
    reading::firing_alerts_of_open_incidents_come_each_once_with_what_was_confirmed,
    prune::prune_deletes_what_ended_long_ago_with_all_that_belongs_to_it,
    prune::texts_go_when_no_incident_refers_to_them_and_nobody_took_them_lately,
    prune::a_ping_is_answered,
}

memory! {
    inbox::deliveries_come_back_in_order_and_byte_for_byte,
    inbox::a_thousand_deliveries_are_one_write,
    inbox::a_delivery_that_is_appended_again_is_there_once,
    inbox::a_consumed_delivery_is_gone_and_cannot_be_consumed_again,
    inbox::a_dead_letter_leaves_the_inbox,
    inbox::a_queue_of_large_deliveries_is_never_read_as_a_whole,
    incidents::an_incident_reads_back_equal_with_everything,
    incidents::a_change_needs_the_version_that_was_loaded,
    incidents::a_version_may_rise_by_more_than_one,
    incidents::an_incident_that_is_gone_does_not_come_back,
    incidents::of_writers_that_race_exactly_one_wins,
    incidents::writers_of_the_same_incidents_in_any_order_never_hang,
    incidents::a_key_has_one_open_incident,
    incidents::a_key_finds_the_open_incident_or_the_one_that_ended_last,
    incidents::fingerprints_bring_their_alerts_and_live_incidents,
    incidents::an_ended_record_comes_with_the_incident_that_was_asked_for,
    incidents::an_alert_is_written_over,
    incidents::findings_of_the_same_name_are_replaced,
    incidents::a_part_that_fails_leaves_nothing_behind,
    incidents::a_commit_of_nothing_is_done,
    incidents::a_thousand_rows_of_each_kind_are_one_commit,
    texts::hostile_text_reads_back_as_it_was,
    texts::labels_of_64_kilobytes_are_kept,
    effects::an_effect_is_claimed_with_what_was_wished,
    effects::a_lease_ends_and_the_next_one_has_a_higher_attempt,
    effects::an_effect_that_nobody_leased_cannot_be_finished,
    effects::a_lane_is_worked_off_in_order_one_at_a_time,
    effects::urgent_effects_go_first,
    effects::claims_of_many_workers_are_disjoint,
    effects::a_postponed_effect_and_its_lane_wait,
    effects::what_joins_a_postponed_lane_waits_with_it,
    effects::what_joins_a_leased_lane_follows_at_once,
    effects::a_lost_lease_cannot_be_postponed,
    effects::a_lease_that_goes_on_is_held_and_a_lost_one_is_a_conflict,
    effects::a_cancelled_effect_is_gone_unless_it_is_leased,
    effects::of_each_queue_one_is_claimed_and_the_urgent_one_first,
    effects::a_held_queue_is_left_alone,
    effects::a_queue_looks_past_what_waits_for_its_lane,
    effects::an_effect_without_its_incident_in_its_name_is_refused,
    ledger::starts_are_counted_over_the_version_they_were_judged_by,
    ledger::a_start_is_under_way_until_its_end_is_written,
    ledger::only_what_used_nothing_up_starts_a_second_time_as_the_same_action,
    ledger::open_incidents_are_found,
    ledger::of_too_many_open_incidents_the_newest_are_found_and_the_keys_of_a_rule,
    ledger::temporary_fixes_stand_until_they_are_undone,
    ledger::of_starts_judged_over_one_ledger_exactly_one_is_allowed,
    ledger::a_pause_is_set_replaced_and_lifted_and_voids_earlier_judgements,
    ledger::a_text_is_kept_once,
    reading::pages_of_incidents_run_from_new_to_old_without_gaps,
    reading::a_view_lists_a_bounded_number_of_alerts,
    reading::the_past_of_a_key_and_of_a_rule_is_told_from_its_end,
    prune::a_ping_is_answered,
}
