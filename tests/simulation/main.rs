//! Seeded simulation of the engine: crashes at every store call, duplicates, reorderings, failing messengers,
//! effects whose answer is lost. After each run the invariants are judged by what the outside world recorded.
//!
//! A run is a pure function of its seed: a manual clock, one thread, seeded randomness. A failing seed is printed;
//! `SIMULATION_SEED=<n> cargo test --test simulation` plays it alone, `SIMULATION_SEEDS=<n>` plays more of them.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test starts servers, reads its own options and reports"
)]

mod crash;
mod outside;
mod playbook;
mod process;
mod story;

use story::Story;

/// Seeds of an ordinary run: enough that every store call has crashed before and after itself many times over.
const SEEDS: u64 = 60;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match (number("SIMULATION_SEED"), number("SIMULATION_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(count)) => (0..count).collect(),
        (None, None) => (0..SEEDS).collect(),
    }
}

#[test]
fn invariants_hold_whatever_crashes_and_whatever_order_things_come_in() {
    let mut crashes = 0;
    let mut acted = 0;
    let mut unknown = 0;
    for seed in seeds() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async { Story::new(seed).await.play().await })
        }));
        match played {
            Ok(told) => {
                crashes += told.crashes;
                acted += told.acted;
                unknown += told.unknown;
            }
            Err(panic) => {
                eprintln!("seed {seed} broke an invariant; play it again with SIMULATION_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{} seeds, {crashes} crashes, {acted} acts on the world, {unknown} unclear ends", seeds().len());
    if seeds().len() as u64 >= SEEDS {
        assert!(crashes > SEEDS, "the simulation must really crash, and it crashed {crashes} times");
        assert!(acted > 0 && unknown > 0, "both clear and unclear ends must occur");
    }
}
