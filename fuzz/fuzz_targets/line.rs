//! The line parser: any bytes are refused or read as rows, and rows written again are read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailroom::line;

fuzz_target!(|bytes: &[u8]| {
    let Ok(rows) = line::parse(bytes) else { return };
    let mut again = Vec::new();
    for rows in line::lines(&rows) {
        line::write(rows, &mut again);
        assert!(again.len() <= line::LINE_BYTES_MAX * 2);
    }
    if line::lines(&rows).count() == 1 {
        assert_eq!(line::parse(&again).as_ref(), Ok(&rows));
    }
});
