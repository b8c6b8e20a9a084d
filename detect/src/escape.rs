//! Text from logs is hostile: here it becomes safe to show (DESIGN decision 22).
//!
//! One function for each place where text is shown. Nothing is dropped: what is dangerous becomes
//! visible, so that whoever reads it sees that somebody tried.

/// For terminals and plain text: control, format and bidirectional characters become `\n`,
/// `\t` or `\u{..}`.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Ends of lines and tabs are everyday text: as everybody writes them.
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if is_hidden(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

/// For Slack's mrkdwn: visible, and without mentions, links, emphasis or code.
/// <https://docs.slack.dev/messaging/formatting-message-text#escaping>
#[must_use]
pub fn mrkdwn(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // Slack has no escape for these; look-alikes keep the text readable and inert.
            '*' => safe.push('\u{2217}'),
            '_' => safe.push('\u{ff3f}'),
            '~' => safe.push('\u{223c}'),
            '`' => safe.push('\''),
            _ => safe.push(c),
        }
    }
    safe
}

/// For HTML text and quoted attributes.
#[must_use]
pub fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

/// One field of CSV: quoted, and no formula for a spreadsheet.
/// <https://owasp.org/www-community/attacks/CSV_Injection>
#[must_use]
pub fn csv(text: &str) -> String {
    let safe = visible(text);
    let guard = if safe.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    format!("\"{guard}{}\"", safe.replace('"', "\"\""))
}

/// For JSON that people look at: JSON as it is written, with what is not seen as `\u....`. Such characters stand
/// between quotes only, so the value stays the same.
/// <https://www.rfc-editor.org/rfc/rfc8259#section-7>
#[must_use]
pub fn json(written: &str) -> String {
    let mut safe = String::with_capacity(written.len());
    for c in written.chars() {
        if c == '\n' || !is_hidden(c) {
            safe.push(c);
            continue;
        }
        let mut units = [0; 2];
        safe.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
    }
    safe
}

/// One word of a shell command, quoted where it has to be. A word that may begin with a dash has to
/// stand behind `--`, or the program reads it as an option.
#[must_use]
pub fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/=@,".contains(c);
    let safe = visible(text);
    if !safe.is_empty() && safe.chars().all(plain) {
        return safe;
    }
    // Statements are full of apostrophes; between these quotes a shell reads the other five as its own.
    if safe.contains('\'') && !safe.contains(['"', '$', '`', '\\', '!']) {
        return format!("\"{safe}\"");
    }
    format!("'{}'", safe.replace('\'', r"'\''"))
}

/// The command that asks a statement.
#[must_use]
pub fn query(sql: &str) -> String {
    format!("durward query {}", shell(sql))
}

/// One text literal of SQL.
#[must_use]
pub fn sql(text: &str) -> String {
    format!("'{}'", visible(text).replace('\'', "''"))
}

/// At most `most` characters; what is cut is counted.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let mark = format!("... ({length} characters)");
    let kept: String = text.chars().take(most.saturating_sub(mark.len())).collect();
    let whole = format!("{kept}{mark}");
    whole.chars().take(most).collect()
}

/// Characters that are not seen, or that change how others are seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, Arabic letter mark, Hangul and Khmer fillers, Mongolian separators.
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            // Zero width, marks of direction, line and paragraph separators, embeddings.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // Invisible operators and isolates.
            | '\u{2060}'..='\u{206f}' | '\u{3164}'
            // Variation selectors, byte order mark, half-width filler, annotations.
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            // Tags and further variation selectors.
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests;
