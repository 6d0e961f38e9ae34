//! Embeds the files of `/migrations`: whatever is there, by golang-migrate's rules of names. What breaks
//! them stops the build.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[path = "src/migrate/names.rs"]
mod names;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let mut found = Vec::new();
    for entry in fs::read_dir(FOLDER).map_err(|error| format!("{FOLDER}: {error}"))? {
        found.extend(entry?.file_name().into_string());
    }
    let mut code = String::from("&[\n");
    for pair in names::pairs(&found)? {
        let text = |file: &str| format!("include_str!({:?})", format!("{FOLDER}/{file}"));
        writeln!(
            code,
            "    Migration {{ version: {}, name: {:?}, up: File {{ name: {:?}, text: {} }}, \
             down: File {{ name: {:?}, text: {} }} }},",
            pair.version,
            pair.name,
            pair.up,
            text(&pair.up),
            pair.down,
            text(&pair.down)
        )?;
    }
    code.push_str("]\n");
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("migrations.rs"), code)?;
    Ok(())
}
