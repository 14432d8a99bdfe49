//! Prints the results, for people and for programs.

use serde_json::json;

use super::{Options, Round, Work};

/// Prints the median round, and the ratios of all.
#[expect(clippy::print_stdout, reason = "this is a command's own output")]
pub(super) fn print(options: &Options, rounds: &[Round]) {
    let mut sorted: Vec<&Round> = rounds.iter().collect();
    sorted.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
    let Some(median) = sorted.get(sorted.len() / 2) else { return };
    let ratios: Vec<f64> = rounds.iter().map(Round::ratio).collect();
    if options.json {
        let work = options.work.name();
        println!(
            "{}",
            json!({"work": work, "profile": options.profile, "ratio": median.ratio(), "ratios": ratios, "median": median, "rounds": rounds})
        );
        return;
    }
    let (what, per) = match options.work {
        Work::Tasks | Work::Idle | Work::Apps | Work::Script | Work::Start => ("tasks", "task"),
        Work::Sync => ("records", "1,000 records"),
    };
    let shown: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
    println!("profile {}, {} rounds, the median of them", options.profile, rounds.len());
    let [against, measured] = match options.work {
        Work::Apps => ["one app     ", "many apps   "],
        Work::Script => ["script      ", "bridgehead  "],
        _ => ["floor       ", "bridgehead  "],
    };
    if options.work == Work::Idle {
        println!("p50, p99     {:>10.0} ms, {:.0} ms from pending to reported", median.p50_ms, median.p99_ms);
    } else {
        println!("{against} {:>10.0} {what}/s", median.floor);
        println!("{measured} {:>10.0} {what}/s", median.daemon);
        println!("ratio        {:>10.3} (each round: {})", median.ratio(), shown.join(" "));
        println!("p50, p99     {:>10.0} ms, {:.0} ms after the beginning", median.p50_ms, median.p99_ms);
    }
    println!("cpu          {:>10.3} ms a {per}", median.cpu_ms);
    println!("written      {:>10.0} bytes in {:.2} calls a {per}", median.written, median.writes);
    println!("requests     {:>10.3} a {per}", median.requests);
    if options.work != Work::Sync {
        println!("lists, reads {:>10} lists, {} tasks read alone", median.lists, median.reads);
    }
    println!("peak memory  {:>10.1} MiB", median.peak_mib);
}
