//! Instructions, counted by Valgrind.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use crate::limits::{self, Found, limits};
use crate::meter::{Case, FLOOR, Meter};
use crate::ours;

/// Set for the process that Valgrind runs.
const CHILD: &str = "CARRIER_UNDER_VALGRIND";

/// How often each case runs before it is counted, so that what is made once is there, and how often it is counted.
const WARM_UP: usize = 3;
const ROUNDS: u64 = 16;

/// Counts the instructions of each case.
///
/// The program starts itself under Valgrind's callgrind, which counts inside [`counted`] and writes a file at every
/// [`end_of_case`]. It knows both by their names, so nothing is linked and nothing is unsafe.
#[derive(Debug)]
pub struct Instructions(());

impl Instructions {
    /// Counts the cases of an area, prints them, and compares them with `limits.txt`: what a benchmark's `main` returns.
    ///
    /// It fails if Valgrind is missing: a limit that is not measured is not kept.
    pub fn check(area: &str, cases: impl Fn(&mut Self)) -> ExitCode {
        if env::var_os(CHILD).is_some() {
            ours::passes(|| cases(&mut Self(())));
            return ExitCode::SUCCESS;
        }
        match count(area) {
            Ok(found) => {
                let over = report(&found, area);
                over.iter().for_each(|over| eprintln!("over the limit: {over}"));
                println!("{area}: {} counted, {} failed", found.len(), over.len());
                ExitCode::from(u8::from(!over.is_empty()))
            }
            Err(problem) => {
                eprintln!("error: the instructions of {area} were not counted: {problem}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Meter for Instructions {
    fn case<I, O>(&mut self, case: Case<'_, '_>, mut make: impl FnMut() -> I, mut work: impl FnMut(I) -> O) {
        let Case { row, who, .. } = case;
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
    if area != "kafka" {
        // The allocator keeps seven freed pieces of each size at hand. With more than that, what it does depends on what
        // was freed before. librdkafka's queues would fill them, so Kafka's cases are counted without.
        valgrind.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=100");
    }
    let output = valgrind
        .args(["--quiet", "--tool=callgrind"])
        .arg("--toggle-collect=carrier_measure::instructions::counted*")
        .arg("--dump-after=carrier_measure::instructions::end_of_case*")
        .arg(format!("--callgrind-out-file={}", folder.join("case").display()))
        .arg(own)
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run `valgrind` ({error}); Debian's package is called valgrind"))?;
    if !output.status.success() {
        return Err(format!("valgrind failed: {}", output.status));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let cases = names.lines().enumerate();
    cases.map(|(index, line)| read(&folder, index + 1, line).ok_or(format!("no count of {line}"))).collect()
}

/// Reads the file of a case, and names it after the case for `callgrind_annotate`.
fn read(folder: &Path, number: usize, line: &str) -> Option<Found<u64>> {
    let (row, who) = line.split_once('|')?;
    let path = folder.join(format!("case.{number}"));
    let text = fs::read_to_string(&path).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    let total: u64 = total?.trim().parse().ok()?;
    let name: String = line.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let _ = fs::rename(path, folder.join(format!("{name}.callgrind")));
    (total > 0).then(|| Found { row: row.to_owned(), who: who.to_owned(), amount: total / ROUNDS })
}

/// Prints what was found, and returns what of it is over its limit.
fn report(found: &[Found<u64>], area: &str) -> Vec<String> {
    let limits = limits();
    let is_measured = |row, who| found.iter().any(|found| found.row == row && found.who == who);
    let of_area = limits.iter().filter(|limit| limit.row.starts_with(&format!("{area}: ")));
    let unused = of_area.filter(|limit| !is_measured(limit.row, limit.who));
    let mut over: Vec<String> = unused
        .map(|limit| format!("{}, {} has a limit and was not measured", limit.row, limit.who))
        .collect();
    println!("{:<44} | {:<16} | {:>8} | {:>7} | {:>6}", "row", "who", "instr.", "× floor", "limit");
    let mut floor = 1;
    for case in found {
        let Found { row, who, amount } = case;
        if who == FLOOR {
            floor = *amount;
        }
        let ratio = *amount as f64 / floor as f64;
        let limit = limits::of(&limits, case).map(|limit| limit.instructions);
        let shown = limit.map_or(String::new(), |limit| format!("{limit:.2}"));
        println!("{row:<44} | {who:<16} | {amount:>8} | {ratio:>7.2} | {shown:>6}");
        if limit.is_some_and(|limit| ratio > limit) {
            over.push(format!("{row}, {who}: {amount} instructions are {ratio:.2} × the floor's {floor}, and {shown} × is allowed"));
        }
    }
    over
}
