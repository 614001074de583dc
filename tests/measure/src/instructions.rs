//! Instructions, counted by Valgrind.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use crate::limits::{Found, Limits};
use crate::{FLOOR, Meter};

/// Set for the process that Valgrind runs.
const CHILD: &str = "CARRIER_UNDER_VALGRIND";

/// How often each case runs before it is counted, so that what is made once is there, and how often it is counted.
const WARM_UP: usize = 3;
const ROUNDS: u64 = 16;

/// Counts the instructions of each case.
///
/// The program starts itself under Valgrind's callgrind, which counts inside [`counted`] and writes a file at every
/// [`end_of_case`]: both are known to it by their names, so that nothing is linked and nothing is unsafe.
#[derive(Debug)]
pub struct Instructions(());

impl Instructions {
    /// Counts the cases of an area, prints them, and compares them with `limits.txt`: what a benchmark's `main` returns.
    ///
    /// It fails where Valgrind is not there: a limit that is not measured is not kept.
    #[allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to the person who runs it")]
    pub fn check(area: &str, cases: impl FnOnce(&mut Self)) -> ExitCode {
        if env::var_os(CHILD).is_some() {
            cases(&mut Self(()));
            return ExitCode::SUCCESS;
        }
        match count(area).map(|found| report(&found, area)) {
            Ok((table, over)) => {
                println!("{table}");
                over.iter().for_each(|over| eprintln!("over the limit: {over}"));
                let (failed, passed) = (over.len(), table.lines().count().saturating_sub(2 + over.len()));
                println!("{area}: {passed} passed, {failed} failed");
                ExitCode::from(u8::from(failed > 0))
            }
            Err(problem) => {
                eprintln!("error: the instructions of {area} were not counted: {problem}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Meter for Instructions {
    #[allow(clippy::print_stdout, reason = "the names are read by the process that waits for this one")]
    fn case<I, O>(
        &mut self,
        row: &str,
        who: &str,
        mut make: impl FnMut() -> I,
        mut work: impl FnMut(I) -> O,
    ) {
        for _ in 0..WARM_UP {
            drop(work(make()));
        }
        for _ in 0..ROUNDS {
            let input = make();
            drop(counted(&mut work, input));
        }
        println!("{row}|{who}");
        end_of_case();
    }
}

#[inline(never)]
fn counted<I, O>(work: &mut impl FnMut(I) -> O, input: I) -> O {
    black_box(work(black_box(input)))
}

#[inline(never)]
fn end_of_case() {
    black_box(());
}

fn count(area: &str) -> Result<Vec<Found<u64>>, String> {
    let own = env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
    let folder = own.parent().unwrap_or(Path::new(".")).join(format!("callgrind-{area}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind"])
        .arg("--toggle-collect=carrier_measure::instructions::counted*")
        .arg("--dump-after=carrier_measure::instructions::end_of_case*")
        .arg(format!("--callgrind-out-file={}", folder.join("case").display()))
        .arg(own)
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = valgrind
        .output()
        .map_err(|error| format!("cannot run `valgrind` ({error}); Debian's package is called valgrind"))?;
    if !output.status.success() {
        return Err(format!("valgrind failed: {}", output.status));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    names.lines().enumerate().map(|(index, line)| read(&folder, index + 1, line)).collect()
}

fn read(folder: &Path, number: usize, line: &str) -> Result<Found<u64>, String> {
    let (row, who) = line.split_once('|').ok_or_else(|| format!("not a case: {line}"))?;
    let path = folder.join(format!("case.{number}"));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    let total: u64 = total
        .and_then(|total| total.trim().parse().ok())
        .filter(|total| *total > 0)
        .ok_or_else(|| format!("{} has no total", path.display()))?;
    keep(&path, folder, row, who);
    Ok(Found { row: row.to_owned(), who: who.to_owned(), amount: total / ROUNDS })
}

/// Names the file after its case, for `callgrind_annotate`.
fn keep(path: &Path, folder: &Path, row: &str, who: &str) {
    let name: String =
        format!("{row} {who}").chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let named: PathBuf = folder.join(format!("{name}.callgrind"));
    let _ = fs::rename(path, named);
}

/// A table of what was found, and what of it is over its limit.
fn report(found: &[Found<u64>], area: &str) -> (String, Vec<String>) {
    let limits = Limits::read();
    let mut table =
        format!("{:<44} | {:<16} | {:>8} | {:>7} | {:>6}\n", "row", "who", "instr.", "× floor", "limit");
    let mut over: Vec<String> = limits
        .unused(found, area)
        .iter()
        .map(|row| format!("{row} has a limit and was not measured"))
        .collect();
    let mut floor = 1;
    for Found { row, who, amount } in found {
        if who == FLOOR {
            floor = *amount;
        }
        #[allow(clippy::cast_precision_loss, reason = "a ratio with two digits")]
        let ratio = *amount as f64 / floor as f64;
        let limit = limits.of(row, who).map(|limit| limit.instructions);
        let shown = limit.map_or(String::new(), |limit| format!("{limit:.2}"));
        table += &format!("{row:<44} | {who:<16} | {amount:>8} | {ratio:>7.2} | {shown:>6}\n");
        if limit.is_some_and(|limit| ratio > limit) {
            over.push(format!("{row}, {who}: {amount} instructions are {ratio:.2} × the floor's {floor}, and {shown} × is allowed"));
        }
    }
    (table, over)
}
