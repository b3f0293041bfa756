//! Seeded simulation of the engine: crashes at every store call, duplicates, reorderings, failing messengers,
//! effects whose answer is lost. After each run the invariants are judged by what the outside world recorded.
//!
//! A run depends on its seed alone: a manual clock, one thread, seeded randomness. Where two replicas share the
//! store, the order in which the database answers them is left to chance. A failing seed is printed;
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
mod scenes;
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

/// What the stories of some seeds told together.
#[derive(Default)]
struct Sum {
    crashes: u64,
    acted: u64,
    unknown: u64,
}

fn play(seed: u64, sum: &mut Sum) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async { Story::new(seed).await.play().await })
    }));
    match played {
        Ok(told) => {
            sum.crashes += told.crashes;
            sum.acted += told.acted;
            sum.unknown += told.unknown;
        }
        Err(panic) => {
            eprintln!("seed {seed} broke an invariant; play it again with SIMULATION_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Seeds know nothing of each other, so each core plays its share of them.
fn play_all(seeds: &[u64]) -> Sum {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut sum = Sum::default();
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..cores)
            .map(|core| {
                let share = seeds.iter().copied().skip(core).step_by(cores);
                scope.spawn(move || {
                    let mut sum = Sum::default();
                    share.for_each(|seed| play(seed, &mut sum));
                    sum
                })
            })
            .collect();
        for share in shares {
            let told = share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sum.crashes += told.crashes;
            sum.acted += told.acted;
            sum.unknown += told.unknown;
        }
    });
    sum
}

#[test]
fn invariants_hold_whatever_crashes_and_whatever_order_things_come_in() {
    let seeds = seeds();
    let Sum { crashes, acted, unknown } = play_all(&seeds);
    println!("{} seeds, {crashes} crashes, {acted} acts on the world, {unknown} unclear ends", seeds.len());
    if seeds.len() as u64 >= SEEDS {
        assert!(crashes > SEEDS, "the simulation must really crash, and it crashed {crashes} times");
        assert!(acted > 0 && unknown > 0, "both clear and unclear ends must occur");
    }
}
