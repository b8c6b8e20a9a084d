//! The pages of `docs/reference` that come from code.

use std::fmt::Write;

use clap::CommandFactory;
use durward_correlate::query::VIEWS;
use durward_detect::rule;
use durward_ingest::Format;
use durward_schemas::tables::LAKE;
use serde_json::Value;

use crate::cli::{CommandLine, Reference};
use crate::config;

/// One page as Markdown.
pub(crate) fn page(of: Reference) -> String {
    match of {
        Reference::Cli => cli(),
        Reference::Tables => tables(),
        Reference::Config => configuration(),
        Reference::Sources => sources(),
        Reference::Rules => rules(),
    }
}

const MADE: &str = "<!-- Made by `just reference` from code; do not edit. -->\n";

fn cli() -> String {
    let mut root = CommandLine::command();
    root.build();
    let mut text = format!("# Command line\n\n{MADE}\n");
    command(&mut root, "", &mut text);
    text
}

fn command(command: &mut clap::Command, above: &str, text: &mut String) {
    let name = format!("{above}{}", command.get_name());
    // What somebody's environment says is no part of the page.
    let plain = command.clone().mut_args(|arg| arg.hide_env_values(true));
    let help = plain.term_width(90).render_help();
    // Writing into a String does not fail.
    let _written = write!(text, "## `{name}`\n\n```text\n{}\n```\n\n", help.to_string().trim_end());
    let below: Vec<_> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .cloned()
        .collect();
    for mut sub in below {
        self::command(&mut sub, &format!("{name} "), text);
    }
}

fn tables() -> String {
    let mut text = format!("# Tables and views\n\n{MADE}\n");
    text.push_str(
        "Every stored table also has `date`, the UTC date on which the log took the row's cause.\n",
    );
    text.push_str("A versioned table is stored as `<name>_versions`; the bare name is a view of the latest version of each row.\n\n");
    for table in LAKE {
        let _written = write!(
            text,
            "## `{}`\n\n{}\n\n| column | type | meaning |\n|---|---|---|\n",
            table.bare_name(),
            table.doc.trim()
        );
        for column in table.columns {
            let optional = if column.nullable { "?" } else { "" };
            let _written = writeln!(
                text,
                "| `{}` | {}{optional} | {} |",
                column.name,
                column.kind.name(),
                column.doc.trim().replace('|', "\\|")
            );
        }
        text.push('\n');
    }
    text.push_str("## Views\n\n| view | one row is |\n|---|---|\n");
    for view in VIEWS {
        let first = view.sql.lines().next().unwrap_or_default().trim_start_matches("-- ");
        let _written = writeln!(text, "| `{}` | {first} |", view.name);
    }
    text
}

fn sources() -> String {
    let mut text = format!("# Sources\n\n{MADE}\n");
    text.push_str("Which field of each format fills which column of `accesses`.\n");
    text.push_str("What no column takes is kept, redacted, in `unmapped`; `durward explain --mapping ID` shows it for one row.\n\n");
    for format in Format::ALL.iter().filter(|format| !format.mapping().is_empty()) {
        let _written = write!(text, "## `{format}`\n\n| column | from |\n|---|---|\n");
        for line in format.mapping() {
            let from = line.from.replace('|', "\\|");
            let _written = writeln!(text, "| `{}` | {from} |", line.column);
        }
        text.push('\n');
    }
    text
}

fn rules() -> String {
    let mut text = format!("# Rules\n\n{MADE}\n");
    text.push_str(
        "Rules are Sigma rules. Those below come with Durward; those named under `detect.rules` in the configuration are added, and one takes the place of a built-in rule of its name.\n",
    );
    text.push_str("`durward rules lint FILE` says whether a rule can be used, and which field was perhaps meant.\n\n");
    text.push_str("## Built-in rules\n\n| rule | level | log | finds |\n|---|---|---|---|\n");
    for rule in rule::listed() {
        let _written =
            writeln!(text, "| `{}` | {} | {} | {} |", rule.id, rule.level, rule.log, rule.title);
    }
    text.push_str("\n## Logs and their fields\n\n");
    text.push_str("A rule names its log by `product` and `service`. Any path beneath one of the names under *also* may be asked for.\n");
    for log in rule::logs() {
        let _written = write!(
            text,
            "\n### `product: {}, service: {}`\n\n| field | column |\n|---|---|\n",
            log.product, log.service
        );
        for (field, column) in log.fields {
            let _written = writeln!(text, "| `{field}` | `{column}` |");
        }
        if !log.also.is_empty() {
            let names: Vec<String> = log.also.iter().map(|name| format!("`{name}`")).collect();
            let _written = write!(text, "\nAlso: {}\n", names.join(", "));
        }
    }
    text
}

fn configuration() -> String {
    let schema: Value = serde_json::from_str(config::SCHEMA).unwrap_or_default();
    let mut text = format!(
        "# Configuration\n\n{MADE}\nYAML; every key has a default, and an unknown key is an error.\n\n| key | type | meaning |\n|---|---|---|\n"
    );
    keys(&schema, &schema, "", &mut text);
    text
}

fn keys(root: &Value, schema: &Value, prefix: &str, text: &mut String) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let target = property
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|at| root.pointer(at.trim_start_matches('#')));
        let inner = target.unwrap_or(property);
        let kind = match &inner["type"] {
            Value::String(kind) => kind.clone(),
            Value::Array(kinds) => {
                kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
            }
            _ => inner["const"].to_string(),
        };
        let meaning =
            property["description"].as_str().or(inner["description"].as_str()).unwrap_or_default();
        let _written = writeln!(text, "| `{path}` | {kind} | {meaning} |");
        keys(root, inner, &path, text);
    }
}
