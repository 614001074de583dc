//! The corpus of the fuzzer holds: every kept input runs through its target.

use std::fs;
use std::path::Path;

use carrier_fuzz::{TARGETS, target};

#[test]
fn every_input_of_the_corpus_passes() {
    for (name, _) in TARGETS {
        let run = target(name).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut count = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // The captured output of a failure ends with the input that failed.
            println!("{}", path.display());
            run(&fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 20, "{} has {count} inputs", folder.display());
    }
}
