//! What the linker is told.

#[allow(clippy::disallowed_methods, reason = "a build script is told by its environment")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |key: &str| std::env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        // A table of two megabytes that the loader reads at each start shrinks to twenty kilobytes. Needs glibc 2.36;
        // an older linker leaves the table as it is.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
