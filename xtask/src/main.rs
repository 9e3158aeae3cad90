//! `cargo xtask`; everything is in the library, see [`xtask::cli`].

fn main() -> std::process::ExitCode {
    xtask::cli::main()
}
