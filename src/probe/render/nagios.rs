//! The line of a monitoring plugin: `SERVICE STATUS - text | 'label'=value[UOM];warn;crit;min;max ...`.

use super::super::{AlertRange, Measurement, ProbeReport, rounded};

pub(super) fn line(report: &ProbeReport) -> String {
    // Perfdata has room for the numbers of the stream, not for those of some hundred partitions.
    let whole = report.measures().filter(|measure| measure.partition.is_none());
    let perfdata: Vec<_> = whole.map(datum).collect();
    let text = plain(&format!("{}: {}", report.stream, report.summary()));
    let status = report.status().name();
    match perfdata.as_slice() {
        [] => format!("RIVERHEAD {status} - {text}\n"),
        some => format!("RIVERHEAD {status} - {text} | {}\n", some.join(" ")),
    }
}

fn datum(measure: &Measurement) -> String {
    let range = |range: Option<AlertRange>| range.map_or_else(String::new, |range| range.to_string());
    let (name, unit) = (measure.kind.name, measure.kind.unit.symbol());
    let value = rounded(measure.value);
    let (warning, critical) = (range(measure.warning), range(measure.critical));
    // A certificate may have expired, so its days have no minimum.
    let least = if measure.value < 0.0 { "" } else { "0" };
    let most = measure.most.map_or_else(String::new, |most| format!(";{most}"));
    format!("{name}={value}{unit};{warning};{critical};{least}{most}")
}

/// Replaces characters by a space that would end the line, begin the perfdata, or be a command to a terminal. Part of the text
/// comes from a server.
fn plain(text: &str) -> String {
    let is_command = |c: char| c.is_control() || matches!(c, '|' | '\u{2028}' | '\u{2029}');
    text.replace(is_command, " ")
        // These change the order in which a line is displayed.
        .replace(
            |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'),
            " ",
        )
}
